/* The ten calls of cuBLASLt that gpuaccept makes, over the stub's memory: D = transposed A times B, column by column.
 *
 *   cublaslt.no_kernel=1     the heuristic finds nothing
 *   cublaslt=none | wrong    the product is not written, or its element 5 is one too large
 *   cublaslt_limit=3         products after the third are not written
 */
#include "stub.h"
#include <stdint.h>

#define API __attribute__((visibility("default"))) int
#define ENTER() do { int e_ = enter(__func__, 0); if (e_) return e_; } while (0)
#define VALUE_WRONG 7

enum { R_32F = 0, R_64F = 1, R_16F = 2, R_8I = 3, R_32I = 10, R_16BF = 14, R_8F_E4M3 = 28 };
typedef struct { int kind; uint64_t rows, columns; int64_t width; } Layout;
typedef struct { int compute, scale, transposed; } Operation;
typedef struct { uint64_t algorithm[8]; size_t workspace; int state; float waves; int reserved[4]; } Heuristic;

static double element(const void *p, int kind, size_t i) {
    uint32_t bits;
    float f;
    switch (kind) {
    case R_32F: return ((const float *)p)[i];
    case R_64F: return ((const double *)p)[i];
    case R_16F: return (double)((const _Float16 *)p)[i];
    case R_8I: return ((const int8_t *)p)[i];
    case R_16BF: bits = (uint32_t)((const uint16_t *)p)[i] << 16; memcpy(&f, &bits, 4); return f;
    default: bits = ((const uint8_t *)p)[i]; return (bits & 0x7F) == 0 ? 0 : (bits & 0x80 ? -1.0 : 1.0);   /* 0, 1, -1 */
    }
}
static void put(void *p, int kind, size_t i, double v) {
    if (kind == R_64F) ((double *)p)[i] = v;
    else if (kind == R_32I) ((int32_t *)p)[i] = (int32_t)v;
    else ((float *)p)[i] = (float)v;
}

__attribute__((visibility("default"))) size_t cublasLtGetVersion(void) { stub_log("call", __func__); return 130002; }
__attribute__((visibility("default"))) size_t cublasLtGetCudartVersion(void) { return 13000; }
__attribute__((visibility("default"))) const char *cublasLtGetStatusName(int s) { return s == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_EXECUTION_FAILED"; }
API cublasLtCreate(void **h) { ENTER(); *h = malloc(1); return 0; }
API cublasLtDestroy(void *h) { ENTER(); free(h); return 0; }
API cublasLtMatmulDescCreate(Operation **o, int compute, int scale) { ENTER(); *o = calloc(1, sizeof **o); **o = (Operation){compute, scale, 0}; return 0; }
API cublasLtMatmulDescDestroy(void *o) { ENTER(); free(o); return 0; }
API cublasLtMatmulDescSetAttribute(Operation *o, int attribute, const int *value, size_t n) {
    ENTER();
    if (attribute != 3 || n != 4) return VALUE_WRONG;
    o->transposed = *value;
    return 0;
}
API cublasLtMatrixLayoutCreate(Layout **l, int kind, uint64_t rows, uint64_t columns, int64_t width) {
    ENTER();
    *l = malloc(sizeof **l);
    **l = (Layout){kind, rows, columns, width};
    return 0;
}
API cublasLtMatrixLayoutDestroy(void *l) { ENTER(); free(l); return 0; }
API cublasLtMatmulPreferenceCreate(void **p) { ENTER(); *p = malloc(1); return 0; }
API cublasLtMatmulPreferenceDestroy(void *p) { ENTER(); free(p); return 0; }
API cublasLtMatmulPreferenceSetAttribute(void *p, int attribute, const void *value, size_t n) { ENTER(); return attribute == 1 && n == 8 ? 0 : VALUE_WRONG; }
API cublasLtMatmulAlgoGetHeuristic(void *h, Operation *o, Layout *a, Layout *b, Layout *c, Layout *d, void *p, int wanted, Heuristic *found, int *count) {
    ENTER();
    *count = !num(0, "cublaslt.no_kernel", 0);
    memset(found, 0, sizeof *found);
    return *count ? 0 : 15;
}
API cublasLtMatmul(void *h, Operation *o, const void *alpha, const void *a, Layout *la, const void *b, Layout *lb, const void *beta, const void *c, Layout *lc, void *d, Layout *ld, const void *algorithm, void *workspace, size_t room, void *stream) {
    static long products;
    char how[32];
    ENTER();
    if (o->transposed != 1 || o->scale != ld->kind || !workspace || !stream) return VALUE_WRONG;
    text(how, sizeof how, 0, "cublaslt", "");
    products++;
    if (!strcmp(how, "none") || products > num(0, "cublaslt_limit", products)) return 0;
    for (uint64_t n = 0; n < ld->columns; n++)
        for (uint64_t m = 0; m < ld->rows; m++) {
            double sum = 0;
            for (uint64_t k = 0; k < la->rows; k++)
                sum += element(a, la->kind, m * la->width + k) * element(b, lb->kind, n * lb->width + k);
            put(d, ld->kind, n * ld->width + m, sum);
        }
    if (!strcmp(how, "wrong")) put(d, ld->kind, 5, element(d, ld->kind == R_32I ? R_32F : ld->kind, 5) + 1);
    return 0;
}
