/* How bindings find the driver's functions, and the names of its errors. */
#define _GNU_SOURCE
#include "sim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 13000, FOUND = 0, MISSING = 1, TOO_NEW = 2 };

/* Functions whose arguments changed, and the version of CUDA since which a name means the new ones.
   Other `_v2` functions are older than any binding that asks. */
static const struct { const char *name; int since; } changed[] = {
    {"cuCtxGetDevice_v2", 13000}, {"cuCtxSynchronize_v2", 13000}, {"cuStreamGetCtx_v2", 12050},
    {"cuStreamGetCaptureInfo_v3", 12030}, {"cuEventElapsedTime_v2", 12080}, {"cuGetProcAddress_v2", 12000}};

static int since(const char *name) {
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        if (!strcmp(name, changed[i].name)) return changed[i].since;
    return 0;
}

static void *find(const char *symbol, int version) {
    char name[96];
    Dl_info self;
    if (!strcmp(symbol, "cuGraphInstantiate") && version >= 12000) symbol = "cuGraphInstantiateWithFlags";
    if (!dladdr((void *)find, &self)) return NULL;
    void *library = dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD), *function = NULL;
    if (!library) return NULL;
    for (int v = 4; v >= 2 && !function; v--) {
        snprintf(name, sizeof name, "%s_v%d", symbol, v);
        if (since(name) <= version) function = dlsym(library, name);
    }
    if (!function) function = dlsym(library, symbol);
    dlclose(library);
    return function;
}

EXPORT CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    (void)flags;
    *function = version <= VERSION ? find(symbol, version) : NULL;
    if (status) *status = *function ? FOUND : version > VERSION ? TOO_NEW : MISSING;
    return *function ? OK : NOT_FOUND;
}

EXPORT CUresult cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}

static const struct { CUresult code; const char *name, *text; } errors[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {PRIMARY_CONTEXT_ACTIVE, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "primary context is active"},
    {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported by the simulator"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "a previous error broke the capture"},
    {CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "two captures would merge"},
    {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "the capture did not begin in this stream"},
    {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a forked stream was not joined"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "the capture depends on work outside of it"},
    {CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "the default stream depends on the capture"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "the event was last recorded in a capture"},
    {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "the capture began on another thread"},
};

static CUresult describe(CUresult code, const char **text, bool name) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) return *text = name ? errors[i].name : errors[i].text, OK;
    return *text = NULL, INVALID_VALUE;
}

EXPORT CUresult cuGetErrorName(CUresult code, const char **text) { return describe(code, text, true); }
EXPORT CUresult cuGetErrorString(CUresult code, const char **text) { return describe(code, text, false); }
