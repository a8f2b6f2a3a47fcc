/* The device: what it says about itself. It starts as a discrete GPU of compute capability 8.6. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

enum { ATTRIBUTES = 256 };
static int attributes[ATTRIBUTES] = {
    [1] = 1024, [2] = 1024, [3] = 1024, [4] = 64, [5] = 2147483647, [6] = 65535, [7] = 65535, [8] = 49152,
    [10] = 32, [11] = 2147483647, [12] = 65536, [13] = 1500000, [15] = 1, [16] = 8, [18] = 0, [19] = 1,
    [31] = 1, [33] = 1, [36] = 5000000, [37] = 128, [38] = 2097152, [39] = 1536, [40] = 2, [41] = 1,
    [75] = 8, [76] = 6, [78] = 1, [83] = 0, [91] = 0, [99] = 0};

EXPORT void cudasim_set_attribute(int attribute, int value) {
    if (attribute >= 0 && attribute < ATTRIBUTES) attributes[attribute] = value;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    if (attribute < 1 || attribute >= ATTRIBUTES) return leave(INVALID_VALUE);
    *value = attributes[attribute];
    return leave(OK);
}

EXPORT CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    snprintf(name, (size_t)size, "simulated CUDA device");
    return leave(OK);
}

EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    *major = attributes[75];
    *minor = attributes[76];
    return leave(OK);
}

EXPORT CUresult cuDeviceGetUuid_v2(char uuid[16], CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    memcpy(uuid, "simulated device", 16);
    return leave(OK);
}

EXPORT CUresult cuDeviceGetPCIBusId(char *name, int size, CUdevice device) {
    ENTER(INIT);
    if (device != 0) return leave(INVALID_DEVICE);
    snprintf(name, (size_t)size, "0000:01:00.0");
    return leave(OK);
}
