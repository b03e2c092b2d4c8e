/* What a healthy GPU says where the state file is silent: an HGX B200, or an HGX H200 after `model=h200`.
 *   [h200]  q_text_h200_idle.txt and nvlink_s_h200_18_links.txt: `nvidia-smi -q` and `nvlink -s` of an idle H200, driver
 *           590.48.01 (utkuozdemir/nvidia_gpu_exporter, internal/captures/linux-x86_64__nvidia-h200__590.48.01.txt at
 *           e656cd81a180, MIT)
 *   [gb200] qx_gb200.xml: `nvidia-smi -q -x` of an idle GB200, driver 580.173.02 (NVIDIA/k8s-test-infra, tests/e2e/go/
 *           assertions/nvidiasmi/testdata/hardware/qx-gb200.xml at 3b2b865d91b1, Apache-2.0): the B200's nearest relative
 *           of which there is a capture
 *   [link]  nvlink_s_gb200_53gb_elided.txt: `nvidia-smi nvlink -s` of a GB200 (NVIDIA/k8s-test-infra issue 371)
 *   [b200]  as published for the B200 (profiles/hardware/hgx-b200.yaml names the sources)
 *   [nvml.h]  as the header says of the model
 *   [-]     invented: no capture shows it
 * The column h200 is [h200] where the last word of a line does not say otherwise. -1: not supported.
 * A test (test_stub_defaults.py) compares what is tagged as captured with the captures, in tests/data/nvidia_smi. */
struct number_default { const char *key; long long b200, h200; };
struct text_default { const char *key, *b200, *h200; };

static const struct text_default TEXTS[] = {
    {"name", "NVIDIA B200", "NVIDIA H200"},                            /* [b200] */
    {"board_part", "692-2G525-0220-000", "695-2G520-0280-001"},        /* [-] */
    {"vbios", "97.00.B9.00.69", "96.00.A5.00.03"},                     /* [gb200] */
    {"inforom", "G525.0220.00.03", "G520.0280.02.02"},                 /* [-] */
    {"driver", "580.95.05", "580.95.05"},                              /* [-]; h200 [-] */
    {"nvml", "13.580.95.05", "13.580.95.05"},                          /* [-]; h200 [-] */
    {"serial_prefix", "165000000000", "165000000000"},                 /* [gb200] then the GPU's number; h200 [gb200] */
    {"chassis_serial", "1820000000001", "1820000000001"},              /* [gb200] told with platform=1; h200 [gb200] */
};

static const struct number_default NUMBERS[] = {
    {"pci_device_id", 0x290110DE, 0x233510DE},                         /* [b200] */
    {"pci_subsystem_id", 0x199910DE, 0x18BE10DE},                      /* [b200] */
    {"cuda_version", 13000, 13000},                                    /* [gb200]; h200 [gb200] */
    {"attribute75", 10, 9}, {"attribute76", 0, 0},                     /* [b200] compute capability; h200 [published] */
    {"platform.slot", 14, 14}, {"platform.tray", 4, 4}, {"platform.host", 1, 1},   /* [gb200]; h200 [gb200] */
    {"memory_total_mib", 183359, 143771},                              /* [b200]; CUDA has memory_mb of it on the stub */
    {"memory_reserved_mib", 742, 614},                                 /* [gb200] */
    {"temperature", 27, 28},                                           /* [gb200] */
    {"margin", 60, 59},                                                /* [gb200] */
    {"power_mw", 165930, 77670},                                       /* [gb200] */
    {"power_limit_mw", 1000000, 700000},                               /* [b200] */
    {"clock1", 120, 345}, {"clock2", 3996, 3201},                      /* [gb200] SM and memory */
    {"max_clock1", 1965, 1980}, {"max_clock2", 3996, 3201},            /* [b200] */
    {"clocks_event_reasons", 1, 1},                                    /* [gb200] idle */
    {"histogram.max", 3968, 3072},                                     /* [gb200] */
    {"ecc", 1, 1}, {"persistence", 1, 1}, {"compute_mode", 0, 0}, {"mig", 0, 0},   /* [gb200] */
    {"pcie.gen", 5, 5}, {"pcie.gen_max", 5, 5},                        /* [gb200]; the link stays at 5 when idle, there too */
    {"pcie.width", 16, 16}, {"pcie.width_max", 16, 16},                /* [gb200] */
    {"link.version", 7, 6},                                            /* [nvml.h] version 5.0 and 4.0; h200 [nvml.h] */
    {"fabric.state", 3, 3}, {"fabric.status", 0, 0},                   /* [h200] completed, success */
    {"fabric.health", 0, 0}, {"fabric.summary", 0, 0},                 /* [h200] an HGX node tells no health: N/A */
    {"field74", 2354613000LL, 0},                                      /* [gb200] SW power cap, ns */
    {"field82", 27, 32},                                               /* [gb200] memory temperature */
    {"field83", 123456789, 123456789},                                 /* [-] energy, mJ; h200 [-] */
    {"field91", 18, 18},                                               /* [link] NVLinks */
    {"field94", 0, 0},                                                 /* [gb200] PCIe replays */
    {"field138", 1 << 30, 1 << 30}, {"field139", 1 << 30, 1 << 30},    /* [-] NVLink data, KiB; h200 [-] */
    {"field161", -1, 0}, {"field162", -1, 0}, {"field163", -1, 0},     /* [nvml.h] not on Blackwell; h200 [-] */
    {"field164", 53125, 26562},                                        /* [link] MB/s of a link */
    {"field165", 1, 1},                                                /* [link] active */
    {"field170", -1, -1},                                              /* [h200] no C2C */
    {"field185", 165930, 77670}, {"field186", 165930, 77880},          /* [gb200] average and instant power, mW */
    {"field195", 0, 0}, {"field196", 0, 0},                            /* [gb200] T.limit of slowdown, memory and GPU */
    {"field202", 1LL << 40, -1}, {"field204", 1LL << 40, -1},          /* [-] NVLink 5 bytes; h200 [nvml.h] */
    {"field206", 0, -1}, {"field207", 0, -1}, {"field208", 0, -1},     /* [-] packets of NVLink 5; h200 [nvml.h] */
    {"field209", 0, -1}, {"field210", 0, -1}, {"field211", 0, -1},     /* [-] of more kinds; h200 [nvml.h] */
    {"field212", 0, -1},                                               /* [-] not sent; h200 [nvml.h] */
    {"field213", 0, -1}, {"field214", 0, -1}, {"field215", 0, -1},     /* [-] recoveries of NVLink 5; h200 [nvml.h] */
    {"field219", 0, -1}, {"field221", 0, -1},                          /* [-] effective and symbol errors; h200 [nvml.h] */
    {"field230", 0, 0},                                                /* [gb200] recovery action none */
    {"field269", 0, 0}, {"field270", 0, 0}, {"field271", 0, 0},        /* [gb200] thermal and power brake, ns */
    {"process_bytes", 1 << 20, 1 << 20},                               /* [-]; h200 [-] */
};

/* Of eight GPUs, in PCI order [-]: that sockets do not follow PCI is seen on HGX boards, these numbers are not. */
static const unsigned SOCKETS[] = {2, 4, 3, 1, 6, 8, 7, 5};
/* Where the links end, as `nvidia-smi nvlink -R` shows it of two HGX boards (openfabric-systems/simllm, tests/fixtures/
 * nccl_topology/vastai_hgx_b200_8x and vastai_hgx_h200_8x, node_inventory.txt at ba7a58db6a81; drivers 595.91.07 and
 * 580.173.02): one id that is no device's on a B200, and on an H200 the switches C3 to C6, of which each digit is the
 * last of one link's. (That GPU 5 of the stub has bus C3 is chance: its buses are invented.) */
static const char B200_SWITCH[] = "FFFFFFFF:FF:FF.0";
static const char H200_SWITCH[] = "00000000:C%c:00.0";
static const char *const H200_LINKS[8] = {
    "554455443354663366", "664466553345334455", "443366556654335544", "664466335545335544",
    "446644665545335533", "445566336654335544", "556655334454663344", "446644556645335533"};
/* GPUs of one half have a NUMA node in common, those of two have not [-]. */
static int same_half(int a, int b) { return a / 4 == b / 4; }

static int is_h200(int gpu) { char b[16]; return !strcmp(text(b, sizeof b, gpu, "model", "b200"), "h200"); }

/* `key` of the state file, or its default above, or 0. */
static long long value(int gpu, const char *key) {
    for (unsigned i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        if (!strcmp(NUMBERS[i].key, key))
            return num(gpu, key, is_h200(gpu) ? NUMBERS[i].h200 : NUMBERS[i].b200);
    return num(gpu, key, strncmp(key, "field", 5) ? 0 : -1);
}

static const char *words(char *out, size_t size, int gpu, const char *key) {
    for (unsigned i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (!strcmp(TEXTS[i].key, key))
            return text(out, size, gpu, key, is_h200(gpu) ? TEXTS[i].h200 : TEXTS[i].b200);
    return text(out, size, gpu, key, "");
}
