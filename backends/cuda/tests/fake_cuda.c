/* A driver's library for tests: "GPUs" whose memory is the host's. Copies happen when the stream is waited for. */

#include <string.h>

#ifndef INIT_STATUS
#define INIT_STATUS 0
#endif
#ifndef VERSION
#define VERSION 13000
#endif
#ifndef COUNT
#define COUNT 2
#endif
#ifndef WAIT_STATUS
#define WAIT_STATUS 0
#endif

#define INVALID_CONTEXT 201
#define OUT_OF_MEMORY 2
#define COPIES_MAX 16

typedef struct { void *to; const void *from; size_t bytes; } copy_t;

static copy_t waiting[COPIES_MAX];
static int waiting_count;
static int contexts, streams;
static __thread void *current;

int cuInit(unsigned int flags) { return INIT_STATUS; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { contexts++; *context = (void *)(long)(device + 1); return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { contexts--; return 0; }
int cuCtxSetCurrent(void *context) { current = context; return 0; }

int cuStreamCreate(void **stream, unsigned int flags) {
    if (current == 0) return INVALID_CONTEXT;
    if (flags != 1) return 1;
    streams++;
    *stream = current;
    return 0;
}

int cuStreamDestroy_v2(void *stream) { streams--; return current == stream ? 0 : INVALID_CONTEXT; }

static int queue(void *to, const void *from, size_t bytes, void *stream) {
    if (current == 0 || current != stream) return INVALID_CONTEXT;
    if (waiting_count == COPIES_MAX) return OUT_OF_MEMORY;
    waiting[waiting_count++] = (copy_t){to, from, bytes};
    return 0;
}

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    return queue((void *)to, from, bytes, stream);
}

int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    return queue(to, (const void *)from, bytes, stream);
}

int cuStreamSynchronize(void *stream) {
    for (int n = 0; n < waiting_count; n++) memcpy(waiting[n].to, waiting[n].from, waiting[n].bytes);
    waiting_count = 0;
    return WAIT_STATUS;
}

int cuGetErrorName(int code, const char **words) {
    switch (code) {
    case OUT_OF_MEMORY: *words = "CUDA_ERROR_OUT_OF_MEMORY"; return 0;
    case INVALID_CONTEXT: *words = "CUDA_ERROR_INVALID_CONTEXT"; return 0;
    case 100: *words = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 700: *words = "CUDA_ERROR_ILLEGAL_ADDRESS"; return 0;
    case 803: *words = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0;
    default: return 1;
    }
}

/* For the test alone: what has been made and not given back. */
int fake_left(void) { return contexts + streams; }
