/* The gate of every call: the lock, initialization, the thread's context, captures in the way. */
#include "sim.h"

#include <string.h>

pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
_Thread_local bool in_callback;
_Thread_local int thread_mode = MODE_GLOBAL;
static _Thread_local const char *call_name = "";

enum { DEPTH = 32 };
static _Thread_local CUcontext stack[DEPTH];
static _Thread_local int depth;

static bool initialized;
static int retained, detached;
static unsigned context_flags;
static int context_id = -1;
static int device_count = 1;
static char primary; /* its address stands for the object */

void lock(void) { pthread_mutex_lock(&the_lock); }
void unlock(void) { pthread_mutex_unlock(&the_lock); }
const char *calling(void) { return call_name; }
bool context_active(void) { return retained > 0; }

CUresult enter(const char *call, int needs) {
    lock();
    call_name = call;
    counted_call(call);
    if (in_callback) {
        fault("callback", "a host function calls the driver, which CUDA forbids");
        return NOT_PERMITTED;
    }
    if ((needs & INIT) && !initialized) return NOT_INITIALIZED;
    if ((needs & CURRENT) == CURRENT) {
        if (!depth || !stack[depth - 1]) return INVALID_CONTEXT;
        if (!retained) return CONTEXT_IS_DESTROYED;
        schedule_background(needs & QUERY);
    }
    return (needs & UNSAFE) ? capture_forbids() : OK;
}

CUresult leave(CUresult result) {
    unlock();
    return result;
}

EXPORT CUresult cuInit(unsigned flags) {
    ENTER(ANY);
    if (flags) return leave(INVALID_VALUE);
    if (!initialized) {
        initialized = true;
        report_open();
        schedule_start();
    }
    return leave(OK);
}

static int driver_version = 13000;

EXPORT void cudasim_driver_version(int version) { driver_version = version; }

EXPORT CUresult cuDriverGetVersion(int *version) {
    *version = driver_version;
    return OK;
}

EXPORT CUresult cuDeviceGetCount(int *count_out) {
    ENTER(INIT);
    *count_out = device_count;
    return leave(OK);
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(INIT);
    if (ordinal < 0 || ordinal >= device_count) return leave(INVALID_DEVICE);
    *device = ordinal;
    return leave(OK);
}

EXPORT void cudasim_device_count(int n) { device_count = n; }

/* ---- the primary context */

static CUresult known(CUcontext context) {
    return handle_get(CONTEXT, context, true) ? OK : INVALID_CONTEXT;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    if (context_id < 0) handle_new(CONTEXT, &primary, &context_id);
    retained++;
    *context = handle_of(CONTEXT, context_id);
    return leave(OK);
}

static void context_end(void) {
    wait_blocking_streams();
    handles_leaks();
    memory_leaks();
    order_close();
    memory_close();
    retained = 0;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    if (!retained) {
        fault("context", "the primary context is released more often than it was retained");
        return leave(INVALID_CONTEXT);
    }
    if (retained == 1) context_end();
    else retained--;
    return leave(OK);
}

void context_exit(void) {
    if (!retained) return;
    call_name = "exit";
    if (retained > detached)
        fault("leak", "the primary context is still retained %d times at the end of the process", retained);
    handles_leaks();
    memory_leaks();
    retained = 0;
}

/* PyCUDA calls this when it forgets a primary context on which detach() was not called. */
EXPORT CUresult cuCtxDetach(CUcontext context) {
    ENTER(INIT);
    TRY(known(context));
    warning("detach", "a primary context cannot be detached: it stays retained until the process ends");
    detached++;
    return leave(INVALID_CONTEXT);
}

EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    context_flags = flags;
    return leave(OK);
}

EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    *flags = context_flags;
    *active = retained > 0;
    return leave(OK);
}

EXPORT CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER(INIT);
    if (!context) {
        if (depth) depth--;
        return leave(OK);
    }
    TRY(known(context));
    if (!depth) depth = 1;
    stack[depth - 1] = context;
    return leave(OK);
}

EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context) {
    ENTER(INIT);
    TRY(known(context));
    if (depth == DEPTH) return leave(OUT_OF_MEMORY);
    stack[depth++] = context;
    return leave(OK);
}

EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    ENTER(INIT);
    if (!depth) return leave(INVALID_CONTEXT);
    CUcontext top = stack[--depth];
    if (context) *context = top;
    return leave(OK);
}

EXPORT CUresult cuCtxGetCurrent(CUcontext *context) {
    ENTER(INIT);
    *context = depth ? stack[depth - 1] : NULL;
    return leave(OK);
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device) {
    ENTER(CURRENT);
    *device = 0;
    return leave(OK);
}

EXPORT CUresult cuCtxGetFlags(unsigned *flags) {
    ENTER(CURRENT);
    *flags = context_flags;
    return leave(OK);
}

EXPORT CUresult cuCtxGetApiVersion(CUcontext context, unsigned *version) {
    ENTER(INIT);
    if (context) TRY(known(context));
    *version = 3020;
    return leave(OK);
}

EXPORT CUresult cuCtxGetDevice_v2(CUdevice *device, CUcontext context) {
    ENTER(INIT);
    TRY(known(context));
    *device = 0;
    return leave(OK);
}

static CUresult synchronize(void) {
    CUresult result = capture_any(CAPTURE_UNSUPPORTED);
    if (result) return result;
    for (int i = 0; i < STREAMS; i++) {
        if (!by_index[i]) continue;
        struct stream *stream = by_index[i];
        struct vclock clock = stream->clock;
        wait_for(stream, stream->enqueued);
        confirm(&clock);
    }
    return OK;
}

EXPORT CUresult cuCtxSynchronize(void) {
    ENTER(CURRENT);
    return leave(synchronize());
}

EXPORT CUresult cuCtxSynchronize_v2(CUcontext context) {
    ENTER(INIT);
    TRY(known(context));
    return leave(synchronize());
}

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    ENTER(CURRENT);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return leave(OK);
}
