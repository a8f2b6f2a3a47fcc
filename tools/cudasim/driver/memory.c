/* Device memory is a reserved range that faults when the host touches it; its bytes lie elsewhere.
   Pinned memory has host bytes and, when mapped, a device address of its own. Nothing is reused. */
#define _GNU_SOURCE
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PORTABLE = 1, DEVICEMAP = 2 };
static struct buffer **buffers;
static int buffer_count;
static size_t page, total_memory = (size_t)8 << 30, used_memory;

static const char *noun(const struct buffer *buffer) {
    return buffer->pinned ? "pinned buffer" : "device buffer";
}

static uint8_t *reserve(size_t span, int protection) {
    uint8_t *base = mmap(NULL, span + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    if (protection != PROT_NONE && mprotect(base + page, span, protection)) return NULL;
    return base + page;
}

static struct buffer *allocate(size_t size, bool pinned, unsigned flags) {
    if (!page) page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > total_memory - used_memory) return NULL;
    struct buffer *buffer = calloc(1, sizeof *buffer);
    buffer->id = buffer_count;
    buffer->size = size;
    buffer->span = (size + page - 1) / page * page;
    buffer->pinned = pinned;
    buffer->flags = flags;
    buffer->bytes = reserve(buffer->span, PROT_READ | PROT_WRITE);
    if (!pinned || (flags & DEVICEMAP)) buffer->device = (CUdeviceptr)reserve(buffer->span, PROT_NONE);
    if (!buffer->bytes) return free(buffer), NULL;
    memset(buffer->bytes, POISON, size);
    memset(buffer->bytes + size, CANARY, buffer->span - size);
    buffer->live = true;
    if (buffer_count % 64 == 0) buffers = realloc(buffers, sizeof *buffers * (size_t)(buffer_count + 64));
    buffers[buffer_count++] = buffer;
    used_memory += size;
    return buffer;
}

static void discard(struct buffer *buffer) {
    for (size_t i = buffer->size; i < buffer->span; i++) {
        if (buffer->bytes[i] == CANARY) continue;
        fault("out-of-range", "the host wrote byte %zu of %s %d, which has %zu bytes", i, noun(buffer),
              buffer->id, buffer->size);
        break;
    }
    /* The range stays reserved: a later use is known as one of freed memory. */
    mmap(buffer->bytes, buffer->span, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    buffer->live = false;
    used_memory -= buffer->size;
}

static bool within(uint64_t address, uint64_t base, const struct buffer *buffer) {
    return base && address >= base && address < base + buffer->span;
}

static struct buffer *by_device(uint64_t address) {
    for (int i = buffer_count; i-- > 0;)
        if (within(address, buffers[i]->device, buffers[i])) return buffers[i];
    return NULL;
}

static struct buffer *by_host(uint64_t address) {
    for (int i = buffer_count; i-- > 0;)
        if (buffers[i]->pinned && within(address, (uint64_t)buffers[i]->bytes, buffers[i])) return buffers[i];
    return NULL;
}

const char *memory_at(const void *address) {
    static char text[128];
    struct buffer *buffer = by_device((uint64_t)address);
    if (buffer)
        snprintf(text, sizeof text, "the host touches a device address of %s %d", noun(buffer), buffer->id);
    else if ((buffer = by_host((uint64_t)address)) && !buffer->live)
        snprintf(text, sizeof text, "the host touches pinned buffer %d after it was freed", buffer->id);
    else
        return NULL;
    return text;
}

static CUresult span_access(struct access *access, struct buffer *buffer, uint64_t offset, size_t size,
                            bool write, const char *what) {
    if (!buffer->live) {
        fault("freed", "%s lies in %s %d, which was freed", what, noun(buffer), buffer->id);
        return INVALID_VALUE;
    }
    if (offset + size > buffer->size) {
        fault("out-of-range", "%s covers bytes %lu to %lu of %s %d, which has %zu bytes", what,
              (unsigned long)offset, (unsigned long)(offset + size), noun(buffer), buffer->id, buffer->size);
        return INVALID_VALUE;
    }
    *access = (struct access){.buffer = buffer, .bytes = buffer->bytes + offset, .size = size,
                              .write = write, .visible = buffer->pinned};
    return OK;
}

CUresult device_access(struct access *access, CUdeviceptr address, size_t size, bool write, const char *what) {
    struct buffer *buffer = by_device(address);
    if (buffer) return span_access(access, buffer, address - buffer->device, size, write, what);
    if ((buffer = by_host(address)))
        fault(buffer->device ? "host-pointer" : "unmapped",
              buffer->device ? "%s is the host address of pinned buffer %d; its device address is another"
                             : "%s is pinned buffer %d, which was allocated without DEVICEMAP",
              what, buffer->id);
    else
        fault("foreign", "%s (%p) is no address of this driver", what, (void *)address);
    return INVALID_VALUE;
}

CUresult host_access(struct access *access, const void *pointer, size_t size, bool write, const char *what) {
    struct buffer *buffer = by_host((uint64_t)pointer);
    if (buffer) return span_access(access, buffer, (uint64_t)pointer - (uint64_t)buffer->bytes, size, write, what);
    if ((buffer = by_device((uint64_t)pointer))) {
        fault("direction", "%s must be host memory, and is a device address of %s %d", what, noun(buffer),
              buffer->id);
        return INVALID_VALUE;
    }
    if (!pointer) {
        fault("foreign", "%s is a null pointer", what);
        return INVALID_VALUE;
    }
    *access = (struct access){.bytes = (uint8_t *)(uintptr_t)pointer, .size = size, .write = write, .visible = true};
    return OK;
}

CUresult any_access(struct access *access, CUdeviceptr address, size_t size, bool write, const char *what) {
    if (by_device(address)) return device_access(access, address, size, write, what);
    return host_access(access, (const void *)address, size, write, what);
}

bool access_freed(const struct access *access) {
    if (!access->buffer || access->buffer->live) return false;
    fault("freed", "the work uses %s %d, which was freed", noun(access->buffer), access->buffer->id);
    return true;
}

void memory_leaks(void) {
    for (int i = 0; i < buffer_count; i++)
        if (buffers[i]->live)
            fault("leak", "%s %d of %zu bytes was never freed", noun(buffers[i]), i, buffers[i]->size);
}

void memory_close(void) {
    for (int i = 0; i < buffer_count; i++)
        if (buffers[i]->live) discard(buffers[i]);
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t size) {
    ENTER(CURRENT | UNSAFE);
    struct buffer *buffer = size ? allocate(size, false, 0) : NULL;
    if (!buffer) return leave(size ? OUT_OF_MEMORY : INVALID_VALUE);
    allocated(DEVICE_ALLOCATIONS, true);
    count(DEVICE_BYTES, (long)size);
    *pointer = buffer->device;
    return leave(OK);
}

static CUresult host_alloc(void **pointer, size_t size, unsigned flags) {
    if (flags & ~7u) return INVALID_VALUE;
    if (!size) return *pointer = NULL, OK; // as driver 580 does
    struct buffer *buffer = allocate(size, true, flags);
    if (!buffer) return OUT_OF_MEMORY;
    allocated(HOST_ALLOCATIONS, true);
    count(HOST_BYTES, (long)size);
    *pointer = buffer->bytes;
    return OK;
}

EXPORT CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned flags) {
    ENTER(CURRENT | UNSAFE);
    return leave(host_alloc(pointer, size, flags));
}

EXPORT CUresult cuMemAllocHost_v2(void **pointer, size_t size) {
    ENTER(CURRENT | UNSAFE);
    return leave(host_alloc(pointer, size, 0));
}

static CUresult release(struct buffer *buffer, uint64_t base, uint64_t address) {
    const char *user;
    if (!buffer) {
        fault("foreign", "%p was not allocated by this driver", (void *)address);
        return INVALID_VALUE;
    }
    if (!buffer->live) {
        fault("double-free", "%s %d was freed before", noun(buffer), buffer->id);
        return INVALID_VALUE;
    }
    if (address != base) {
        fault("foreign", "%p lies inside %s %d, and is not its start", (void *)address, noun(buffer), buffer->id);
        return INVALID_VALUE;
    }
    if (unconfirmed(buffer, &user)) {
        fault("pending-free", "%s %d is freed while %s may still use it", noun(buffer), buffer->id, user);
        for (int i = 0; i < STREAMS; i++)
            if (by_index[i]) wait_for(by_index[i], by_index[i]->enqueued);
    }
    discard(buffer);
    return OK;
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr pointer) {
    ENTER(CURRENT | UNSAFE);
    if (!pointer) return leave(OK);
    struct buffer *buffer = by_device(pointer);
    if (buffer && buffer->pinned) {
        fault("foreign", "pinned buffer %d is freed as device memory", buffer->id);
        return leave(INVALID_VALUE);
    }
    return leave(release(buffer, buffer ? buffer->device : 0, pointer));
}

EXPORT CUresult cuMemFreeHost(void *pointer) {
    ENTER(CURRENT | UNSAFE);
    struct buffer *buffer = by_host((uint64_t)pointer);
    return leave(release(buffer, buffer ? (uint64_t)buffer->bytes : 0, (uint64_t)pointer));
}

EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *pointer, unsigned flags) {
    ENTER(CURRENT);
    struct access access;
    if (flags) return leave(INVALID_VALUE);
    TRY(host_access(&access, pointer, 1, false, "the pointer"));
    if (!access.buffer || !access.buffer->device) {
        fault("unmapped", "the memory has no device address: allocate it pinned, with DEVICEMAP");
        return leave(INVALID_VALUE);
    }
    *device = access.buffer->device + (uint64_t)(access.bytes - access.buffer->bytes);
    return leave(OK);
}

EXPORT CUresult cuMemHostGetFlags(unsigned *flags, void *pointer) {
    ENTER(CURRENT);
    struct buffer *buffer = by_host((uint64_t)pointer);
    if (!buffer || !buffer->live) return leave(INVALID_VALUE);
    *flags = buffer->flags;
    return leave(OK);
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    ENTER(CURRENT);
    *free_bytes = total_memory - used_memory;
    *total = total_memory;
    return leave(OK);
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    ENTER(INIT);
    (void)device;
    *bytes = total_memory;
    return leave(OK);
}

static CUresult attribute(void *data, int which, CUdeviceptr address) {
    struct buffer *buffer = by_device(address);
    if (!buffer) buffer = by_host(address);
    if (!buffer || !buffer->live) return INVALID_VALUE;
    uint64_t offset = within(address, buffer->device, buffer) ? address - buffer->device
                                                             : address - (uint64_t)buffer->bytes;
    switch (which) {
    case 1: *(CUcontext *)data = handle_of(CONTEXT, 0); return OK;
    case 2: *(unsigned *)data = buffer->pinned ? 1 : 2; return OK;
    case 3:
        if (!buffer->device) return INVALID_VALUE;
        *(CUdeviceptr *)data = buffer->device + offset;
        return OK;
    case 4:
        if (!buffer->pinned) return INVALID_VALUE;
        *(void **)data = buffer->bytes + offset;
        return OK;
    case 7: *(uint64_t *)data = (uint64_t)buffer->id; return OK;
    case 8: *(unsigned *)data = 0; return OK;
    case 9: *(int *)data = 0; return OK;
    case 11: *(CUdeviceptr *)data = buffer->device; return OK;
    case 12: *(size_t *)data = buffer->size; return OK;
    case 13: *(unsigned *)data = 1; return OK;
    default: return NOT_SUPPORTED;
    }
}

EXPORT CUresult cuPointerGetAttribute(void *data, int which, CUdeviceptr address) {
    ENTER(CURRENT);
    return leave(attribute(data, which, address));
}

EXPORT CUresult cuPointerGetAttributes(unsigned n, int *which, void **data, CUdeviceptr address) {
    ENTER(CURRENT);
    for (unsigned i = 0; i < n; i++) {
        CUresult result = attribute(data[i], which[i], address);
        if (result == NOT_SUPPORTED) return leave(result);
        if (result && which[i] == 2) *(unsigned *)data[i] = 0;
        else if (result) *(uint64_t *)data[i] = 0;
    }
    return leave(OK);
}
