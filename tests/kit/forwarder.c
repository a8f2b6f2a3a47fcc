/* What NVIDIA's bindings of TensorRT need of its libraries: the runtime is that of $LEAN_RUNTIME, a
 * lean runtime of NVIDIA's; everything else does not start, and the builder says why as the runtime
 * does. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

typedef void *(*create)(void *logger, int version);

static void *of_runtime(const char *name) {
    const char *path = getenv("LEAN_RUNTIME");
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    return library ? dlsym(library, name) : NULL;
}

void *createInferRuntime_INTERNAL(void *logger, int version) {
    create function = (create)of_runtime("createInferRuntime_INTERNAL");
    return function ? function(logger, version) : NULL;
}

void *createInferBuilder_INTERNAL(void *logger, int version) {
    createInferRuntime_INTERNAL(logger, version);
    return NULL;
}

void *getPluginRegistry(void) {
    void *(*function)(void) = (void *(*)(void))of_runtime("getPluginRegistry");
    return function ? function() : NULL;
}

#define NOTHING(name) void *name(void) { return NULL; }
NOTHING(createInferRefitter_INTERNAL)
NOTHING(createNvOnnxParser_INTERNAL)
NOTHING(createNvOnnxParserRefitter_INTERNAL)
NOTHING(getBuilderPluginRegistry)
NOTHING(getNvOnnxParserVersion)
NOTHING(initLibNvInferPlugins)
/* of 8.6 */
NOTHING(_ZN11nvuffparser15createUffParserEv)
NOTHING(_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi)
NOTHING(_ZN14nvcaffeparser117createCaffeParserEv)
NOTHING(_ZN14nvcaffeparser123shutdownProtobufLibraryEv)
