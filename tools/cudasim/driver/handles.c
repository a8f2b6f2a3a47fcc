/* Handles are numbers that point nowhere: a destroyed or made-up one is known as such. */
#include "sim.h"

#include <stdlib.h>

static const char *names[KINDS] = {"context", "stream", "event", "graph", "graph exec"};
static struct { void **objects; int count, room; } table[KINDS];
static const uintptr_t BASE = 0x5C0000000000u, STEP = 0x100000000u;

void *handle_of(enum kind kind, int id) {
    return (void *)(BASE + (uintptr_t)kind * STEP + (uintptr_t)id * 16);
}

void *handle_new(enum kind kind, void *object, int *id) {
    if (table[kind].count == table[kind].room) {
        table[kind].room = table[kind].room ? 2 * table[kind].room : 16;
        table[kind].objects = realloc(table[kind].objects, sizeof(void *) * (size_t)table[kind].room);
    }
    *id = table[kind].count++;
    table[kind].objects[*id] = object;
    return handle_of(kind, *id);
}

int handle_count(enum kind kind) { return table[kind].count; }
void *handle_at(enum kind kind, int index) { return table[kind].objects[index]; }

static bool live(enum kind kind, void *object) {
    switch (kind) {
    case STREAM: return ((struct stream *)object)->live;
    case EVENT: return ((struct event *)object)->live;
    case GRAPH: return ((struct graph *)object)->live;
    case EXEC: return ((struct exec *)object)->live;
    default: return true;
    }
}

void *handle_get(enum kind kind, const void *handle, bool report) {
    uintptr_t offset = (uintptr_t)handle - BASE - (uintptr_t)kind * STEP;
    bool ours = (uintptr_t)handle >= BASE + (uintptr_t)kind * STEP && offset % 16 == 0 &&
                offset / 16 < (uintptr_t)table[kind].count;
    void *object = ours ? table[kind].objects[offset / 16] : NULL;
    if (object && live(kind, object)) return object;
    if (report && object)
        fault("freed", "%s %d is used after it was destroyed", names[kind], (int)(offset / 16));
    else if (report)
        fault("foreign", "%p is no %s of this driver", handle, names[kind]);
    return NULL;
}

CUresult stream_get(CUstream handle, struct stream **stream) {
    if ((uintptr_t)handle <= 1) {
        CUresult result = capture_legacy();
        fault("legacy-stream", "work goes to the default stream 0, which waits for every blocking stream");
        *stream = &legacy;
        return result;
    }
    *stream = (uintptr_t)handle == 2 ? NULL : handle_get(STREAM, handle, true);
    return *stream ? OK : INVALID_HANDLE;
}

void handles_leaks(void) {
    for (int kind = STREAM; kind < KINDS; kind++) {
        for (int i = 0; i < table[kind].count; i++) {
            void *object = table[kind].objects[i];
            if (!live((enum kind)kind, object)) continue;
            fault("leak", "%s %d was never destroyed", names[kind], i);
            if (kind == STREAM) ((struct stream *)object)->live = false;
            if (kind == EVENT) ((struct event *)object)->live = false;
            if (kind == GRAPH) ((struct graph *)object)->live = false;
            if (kind == EXEC) ((struct exec *)object)->live = false;
        }
    }
}
