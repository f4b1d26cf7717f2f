/* A driver's library for tests: "GPUs" whose memory is the host's. Copies happen when the stream is waited for. */

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

#ifndef RANGE_STATUS
#define RANGE_STATUS 0
#endif

/* Calls of a kind may be held at a pipe of that name: until who has opened its other end closes it, or it is gone. */
#ifndef OPEN_PIPE
#define OPEN_PIPE 0
#endif
#ifndef COPY_PIPE
#define COPY_PIPE 0
#endif
#ifndef CLOSE_PIPE
#define CLOSE_PIPE 0
#endif

#define INVALID_CONTEXT 201
#define OUT_OF_MEMORY 2
#define COPIES_MAX 16

typedef struct { void *to; const void *from; size_t bytes; } copy_t;

static copy_t waiting[COPIES_MAX];
static int waiting_count;
static char staged[4096];
static int contexts, streams, opened;
static __thread void *current;

static void held(const char *path) {
    char byte;
    int file = path == 0 ? -1 : open(path, O_RDONLY);
    if (file < 0) return;
    while (read(file, &byte, 1) > 0) continue;
    close(file);
}

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
    if (current == 0 || (stream != 0 && current != stream)) return INVALID_CONTEXT;
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

/* A handle is the path of a file, which stands for the memory of another process. Anything else is none. */
typedef struct { char bytes[64]; } handle_t;

static size_t opened_bytes;

int cuIpcOpenMemHandle_v2(unsigned long long *address, handle_t handle, unsigned int flags) {
    if (current == 0) return INVALID_CONTEXT;
    held(OPEN_PIPE);
    struct stat is;
    int file = handle.bytes[0] == '/' && handle.bytes[63] == 0 && flags == 1 ? open(handle.bytes, O_RDWR) : -1;
    if (file < 0 || fstat(file, &is) != 0) return 400;
    opened_bytes = is.st_size;
    *address = (unsigned long long)mmap(0, opened_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    opened++;
    return 0;
}

int cuIpcCloseMemHandle(unsigned long long address) {
    held(CLOSE_PIPE);
    opened--;
    return current == 0 ? INVALID_CONTEXT : munmap((void *)address, opened_bytes);
}

/* As if it were the end of something larger. Knows the last one alone. */
int cuMemGetAddressRange_v2(unsigned long long *base, size_t *size, unsigned long long address) {
    *base = address - 16;
    *size = opened_bytes + 16;
    return RANGE_STATUS;
}

int cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) {
    /* Pageable memory: the bytes are taken when the call ends, and are there when the stream has been waited for. */
    held(COPY_PIPE);
    if (bytes > sizeof staged) return OUT_OF_MEMORY;
    memcpy(staged, from, bytes);
    return queue((void *)to, staged, bytes, 0);
}

int cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) {
    if (current == 0) return INVALID_CONTEXT;
    held(COPY_PIPE);
    memcpy(to, (const void *)from, bytes);
    return WAIT_STATUS;
}

int cuGetErrorName(int code, const char **words) {
    switch (code) {
    case OUT_OF_MEMORY: *words = "CUDA_ERROR_OUT_OF_MEMORY"; return 0;
    case INVALID_CONTEXT: *words = "CUDA_ERROR_INVALID_CONTEXT"; return 0;
    case 100: *words = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 400: *words = "CUDA_ERROR_INVALID_HANDLE"; return 0;
    case 700: *words = "CUDA_ERROR_ILLEGAL_ADDRESS"; return 0;
    case 803: *words = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0;
    default: return 1;
    }
}

/* For the test alone: what has been made and not given back. */
int fake_left(void) { return contexts + streams + opened; }
