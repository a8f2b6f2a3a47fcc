/* Copies and fills: which direction, how far, and of what memory. */
#include "sim.h"

enum direction { TO_DEVICE, TO_HOST, ON_DEVICE, ANYWHERE };

static CUresult prepare(struct work *work, enum direction way, CUdeviceptr to, CUdeviceptr from, size_t size) {
    struct access *target = &work->access[0], *source = &work->access[1];
    *work = (struct work){.kind = COPY, .call = calling(), .count = 2};
    CUresult result = way == TO_HOST    ? host_access(target, (void *)to, size, true, "the destination")
                      : way == ANYWHERE ? any_access(target, to, size, true, "the destination")
                                        : device_access(target, to, size, true, "the destination");
    if (result) return result;
    result = way == TO_DEVICE  ? host_access(source, (void *)from, size, false, "the source")
             : way == ANYWHERE ? any_access(source, from, size, false, "the source")
                               : device_access(source, from, size, false, "the source");
    if (result) return result;
    bool up = way == TO_DEVICE || (way == ANYWHERE && source->visible && !target->visible);
    bool down = way == TO_HOST || (way == ANYWHERE && target->visible && !source->visible);
    count(up ? COPIES_TO_DEVICE : down ? COPIES_TO_HOST : COPIES_ON_DEVICE, 1);
    return OK;
}

static CUresult later(enum direction way, CUdeviceptr to, CUdeviceptr from, size_t size, CUstream handle) {
    struct stream *stream;
    struct work work;
    CUresult result = stream_get(handle, &stream);
    if (result) return result;
    if (!size) return OK;
    result = prepare(&work, way, to, from, size);
    if (result) return result;
    bool pageable = !work.access[0].buffer || !work.access[1].buffer;
    if (pageable)
        fault("pageable", "%s is not pinned: this copy waits, and overlaps with nothing",
              work.access[0].buffer ? "the source" : "the destination");
    if (pageable && stream->capture) return capture_conflict(stream, CAPTURE_UNSUPPORTED);
    result = submit(stream, &work);
    if (pageable && !result) wait_for(stream, stream->enqueued);
    return result;
}

static CUresult at_once(struct work *work) {
    struct stream *stream = &legacy;
    wait_blocking_streams();
    CUresult result = submit(stream, work);
    struct vclock clock = stream->clock;
    wait_for(stream, stream->enqueued);
    confirm(&clock);
    return result;
}

static CUresult copy_now(enum direction way, CUdeviceptr to, CUdeviceptr from, size_t size) {
    struct work work;
    CUresult result = capture_legacy();
    if (result || !size) return result;
    result = prepare(&work, way, to, from, size);
    count(SYNCHRONOUS_COPIES, 1);
    return result ? result : at_once(&work);
}

static CUresult fill(CUdeviceptr to, uint32_t value, uint32_t width, size_t n, CUstream handle, bool wait) {
    struct stream *stream;
    struct work work = {.kind = FILL, .call = calling(), .count = 1, .value = value, .width = width};
    CUresult result = wait ? capture_legacy() : stream_get(handle, &stream);
    if (result || !n) return result;
    result = device_access(&work.access[0], to, n * width, true, "the destination");
    if (result) return result;
    count(FILLS, 1);
    return wait ? at_once(&work) : submit(stream, &work);
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    ENTER(CURRENT);
    return leave(later(TO_DEVICE, to, (CUdeviceptr)from, size, stream));
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    ENTER(CURRENT);
    return leave(later(TO_HOST, (CUdeviceptr)to, from, size, stream));
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    ENTER(CURRENT);
    return leave(later(ON_DEVICE, to, from, size, stream));
}

EXPORT CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    ENTER(CURRENT);
    return leave(later(ANYWHERE, to, from, size, stream));
}

/* CUDA_MEMCPY2D; copied row by row, each as a piece of work of its own. */
struct end { size_t x, y; int type; const void *host; CUdeviceptr device; void *array; size_t pitch; };
struct rectangle { struct end from, to; size_t width, height; };

EXPORT CUresult cuMemcpy2DAsync_v2(const struct rectangle *copy, CUstream stream) {
    ENTER(CURRENT);
    const struct end *to = &copy->to, *from = &copy->from;
    if (to->type != 4 || from->type != 4) return leave(NOT_SUPPORTED);
    if (to->pitch < copy->width || from->pitch < copy->width) return leave(INVALID_VALUE);
    CUresult result = OK;
    for (size_t row = 0; row < copy->height && !result; row++)
        result = later(ANYWHERE, to->device + (to->y + row) * to->pitch + to->x,
                       from->device + (from->y + row) * from->pitch + from->x, copy->width, stream);
    return leave(result);
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size) {
    ENTER(CURRENT | UNSAFE);
    return leave(copy_now(TO_DEVICE, to, (CUdeviceptr)from, size));
}

EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
    ENTER(CURRENT | UNSAFE);
    return leave(copy_now(TO_HOST, (CUdeviceptr)to, from, size));
}

EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t size) {
    ENTER(CURRENT | UNSAFE);
    return leave(copy_now(ON_DEVICE, to, from, size));
}

EXPORT CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t size) {
    ENTER(CURRENT | UNSAFE);
    return leave(copy_now(ANYWHERE, to, from, size));
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
    ENTER(CURRENT | UNSAFE);
    return leave(fill(to, value, 1, n, NULL, true));
}

EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n) {
    ENTER(CURRENT | UNSAFE);
    return leave(fill(to, value, 4, n, NULL, true));
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream) {
    ENTER(CURRENT);
    return leave(fill(to, value, 1, n, stream, false));
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream) {
    ENTER(CURRENT);
    return leave(fill(to, value, 4, n, stream, false));
}
