/* What work does when its turn comes: copies, fills, host functions, and the recorder, which stands
   in for an engine: red is the defect, as in edgeseg/runtime/fake.py. */
#define _GNU_SOURCE
#include "sim.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static bool no_capture;

uint64_t hash_bytes(const uint8_t *bytes, size_t size) {
    uint64_t hash = size * 0x9E3779B97F4A7C15u, word;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    for (; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

uint64_t hash_poison(size_t size) {
    static size_t known_size;
    static uint64_t known;
    if (size == known_size) return known;
    uint64_t hash = size * 0x9E3779B97F4A7C15u, word = 0xA5A5A5A5A5A5A5A5u;
    for (size_t i = 0; i + 8 <= size; i += 8) {
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
        hash ^= hash >> 32;
    }
    for (size_t i = size / 8 * 8; i < size; i++) hash = (hash ^ POISON) * 0x100000001B3u;
    known_size = size;
    return known = hash;
}

static void check_watched(const struct work *work) {
    for (int i = 0; i < work->count; i++) {
        const struct access *access = &work->access[i];
        if (!access->watched) continue;
        count(HASHES_CHECKED, 1);
        if (hash_bytes(access->bytes, access->size) == access->seen) continue;
        fault_in(work->call, access->write ? "destination-changed" : "source-changed",
                 "the host wrote the %s of pending work (buffer %d) before that work was done",
                 access->write ? "destination" : "source", access->buffer ? access->buffer->id : -1);
    }
}

static void averages(int size, int cells, int cell, int *start, int *end) {
    *start = (int)((int64_t)cell * size / cells);
    *end = (int)((int64_t)(cell + 1) * size / cells);
    if (*end <= *start) *end = *start + 1;
}

static void infer(struct work *work) {
    int h = work->h, w = work->w, c = work->c, s = work->s;
    const uint8_t *frame = work->access[0].bytes;
    float threshold;
    memcpy(&threshold, work->access[1].bytes, sizeof threshold);
    for (int64_t i = 0; i < (int64_t)work->n * h * w; i++)
        work->access[2].bytes[i] = (float)frame[i * c + work->red] / 255.0f > threshold ? 255 : 0;
    for (int n = 0; n < work->n; n++, frame += (int64_t)h * w * c) {
        float *score = (float *)work->access[3].bytes + n;
        float *map = (float *)work->access[4].bytes + (int64_t)n * s * s;
        double total = 0;
        *score = -INFINITY;
        for (int y = 0; y < s; y++)
            for (int x = 0; x < s; x++) {
                int top, bottom, left, right;
                int64_t sum = 0;
                averages(h, s, y, &top, &bottom);
                averages(w, s, x, &left, &right);
                for (int row = top; row < bottom; row++)
                    for (int column = left; column < right; column++)
                        sum += frame[((int64_t)row * w + column) * c + work->red];
                map[y * s + x] = (float)((double)sum / 255.0 / (bottom - top) / (right - left));
                if (map[y * s + x] > *score) *score = map[y * s + x];
                total += (double)map[y * s + x];
            }
        for (int k = 0; k < work->k; k++) ((float *)work->access[5].bytes)[n * work->k + k] = (float)(total / s / s);
    }
}

void perform(struct work *work) {
    uint8_t *to = work->count ? work->access[0].bytes : NULL;
    if (kernel_us && work->kind == INFER) {
        unlock();
        usleep(kernel_us);
        lock();
    }
    for (int i = 0; i < work->count; i++)
        if (access_freed(&work->access[i])) return;
    check_watched(work);
    switch (work->kind) {
    case COPY:
        memmove(to, work->access[1].bytes, work->access[0].size);
        break;
    case FILL:
        for (size_t i = 0; i + work->width <= work->access[0].size; i += work->width)
            memcpy(to + i, &work->value, work->width);
        break;
    case INFER:
        infer(work);
        break;
    case HOST:
        unlock();
        in_callback = true;
        work->function(work->argument);
        in_callback = false;
        lock();
        break;
    }
}

/* An engine that cannot be captured: enqueueing it breaks the capture, and that is no fault of the caller. */
EXPORT void cudasim_forbid_capture(int forbid) { no_capture = forbid; }

static CUresult aligned(CUdeviceptr address, const char *what) {
    if (address % 256 == 0) return OK;
    fault("misaligned", "%s is at %p; an engine wants multiples of 256", what, (void *)address);
    return INVALID_VALUE;
}

/* One inference of frames uint8 [n, h, w, c]: mask uint8 [n, h, w], score float32 [n], map float32 [n, s, s], and
 * where k > 0 the input check float32 [n, k]. */
EXPORT CUresult cudasim_infer(CUstream handle, CUdeviceptr frame, CUdeviceptr threshold, CUdeviceptr mask,
                              CUdeviceptr score, CUdeviceptr map, CUdeviceptr check, int n, int h, int w, int c, int s, int red, int k) {
    ENTER(CURRENT);
    struct stream *stream;
    struct work work = {.kind = INFER, .call = "cudasim_infer", .count = k ? 6 : 5, .n = n, .h = h, .w = w, .c = c, .s = s, .red = red, .k = k};
    size_t pixels = (size_t)n * (size_t)h * (size_t)w;
    TRY(stream_get(handle, &stream));
    TRY(aligned(frame, "the frame") || aligned(threshold, "the threshold") || aligned(mask, "the mask") ||
        aligned(score, "the score") || aligned(map, "the map") || aligned(check, "the input check"));
    TRY(device_access(&work.access[0], frame, pixels * (size_t)c, false, "the frame"));
    TRY(device_access(&work.access[1], threshold, 4, false, "the threshold"));
    TRY(device_access(&work.access[2], mask, pixels, true, "the mask"));
    TRY(device_access(&work.access[3], score, 4 * (size_t)n, true, "the score"));
    TRY(device_access(&work.access[4], map, 4 * (size_t)n * (size_t)s * (size_t)s, true, "the map"));
    if (k) TRY(device_access(&work.access[5], check, 4 * (size_t)n * (size_t)k, true, "the input check"));
    if (stream->capture && no_capture) {
        capture_break(stream->capture);
        return leave(CAPTURE_UNSUPPORTED);
    }
    count(INFERENCES, 1);
    return leave(submit(stream, &work));
}
