/* The processes that use this NVML: "$STUB_STATE.clients" has their ids. Without persistence mode the driver unloads when
 * the last one has left; what comes next finds volatile counters at zero (then "$STUB_STATE.restarted" is there). */
#include <signal.h>
#include <sys/file.h>

static const char *beside_state(char *out, size_t size, const char *what) {
    snprintf(out, size, "%s.%s", getenv("STUB_STATE") ? getenv("STUB_STATE") : "/dev/null", what);
    return out;
}

/* Count the clients that live, without one entry of `leaving`; write them back with `coming`. */
static int count_clients(long coming, long leaving, int *ever) {
    char path[512], text[4096] = "", line[32];
    long pids[128];
    int n = 0;
    FILE *f = fopen(beside_state(path, sizeof path, "clients"), "a+");
    *ever = 0;
    if (!f) return 0;
    flock(fileno(f), LOCK_EX);
    rewind(f);
    while (n < 128 && fgets(line, sizeof line, f)) {
        *ever = 1;
        long pid = atol(line);
        if (pid == leaving) { leaving = 0; continue; }
        if (pid > 1 && !kill((pid_t)pid, 0)) pids[n++] = pid;
    }
    int others = n;
    if (coming && n < 128) pids[n++] = coming;
    for (int i = 0; i < n; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "%ld\n", pids[i]);
    if (!*text) snprintf(text, sizeof text, "0\n");                /* somebody was here */
    if (ftruncate(fileno(f), 0) || write(fileno(f), text, strlen(text)) < 0) others = -1;
    fclose(f);                                                     /* and unlocks */
    return others;
}

static void client_comes(void) {
    char path[512];
    int ever, others = count_clients(getpid(), 0, &ever);
    if (ever && others == 0 && !num(0, "persistence", 1)) {
        FILE *f = fopen(beside_state(path, sizeof path, "restarted"), "w");
        if (f) fclose(f);
    }
}

static void client_leaves(void) { int ever; count_clients(0, getpid(), &ever); }

static int volatile_restarted(void) { char path[512]; return !access(beside_state(path, sizeof path, "restarted"), F_OK); }
