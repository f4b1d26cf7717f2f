/* A driver's library for tests: two GPUs, the second of which is lost. */

#ifndef INIT_STATUS
#define INIT_STATUS 0
#endif

#define GPU_IS_LOST 15
#define NOT_SUPPORTED 3
#define GIB (1ull << 30)

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } rates_t;

static int is_lost(void *device) { return device == (void *)2; }

static int say(const char *text, char *place, unsigned int length) {
    unsigned int n = 0;
    for (; text[n] != 0 && n + 1 < length; n++) place[n] = text[n];
    place[n] = 0;
    return 0;
}

int nvmlInit_v2(void) { return INIT_STATUS; }
int nvmlShutdown(void) { return 0; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case 9: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    default: return 0;
    }
}

int nvmlSystemGetDriverVersion(char *place, unsigned int length) { return say("580.65.06", place, length); }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}

int nvmlDeviceGetName(void *device, char *place, unsigned int length) {
    return say("NVIDIA Scripted", place, length);
}

int nvmlDeviceGetUUID(void *device, char *place, unsigned int length) {
    return say(is_lost(device) ? "GPU-22222222" : "GPU-11111111", place, length);
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    if (is_lost(device)) return GPU_IS_LOST;
    memory->total = 80 * GIB;
    memory->used = 16 * GIB;
    memory->free = 64 * GIB;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    *major = 9;
    *minor = 0;
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, rates_t *rates) {
    if (is_lost(device)) return GPU_IS_LOST;
    rates->gpu = 37;
    rates->memory = 12;
    return 0;
}

int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) {
    if (is_lost(device)) return GPU_IS_LOST;
    *milliwatts = 212500;
    return 0;
}

int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *milliwatts) {
    if (is_lost(device)) return GPU_IS_LOST;
    *milliwatts = 700000;
    return 0;
}

int nvmlDeviceGetTemperature(void *device, unsigned int sensor, unsigned int *degrees) {
    if (is_lost(device) || sensor != 0) return GPU_IS_LOST;
    *degrees = 61;
    return 0;
}

/* As on cards without such memory. */
int nvmlDeviceGetTotalEccErrors(void *device, unsigned int kind, unsigned int since, unsigned long long *errors) {
    return NOT_SUPPORTED;
}
