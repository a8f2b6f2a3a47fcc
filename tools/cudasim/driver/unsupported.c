/* What PyCUDA links to and the simulator does not do: it answers so, and says who asked. */
#include "sim.h"

#define NO(name) \
    EXPORT CUresult cu##name(void); \
    EXPORT CUresult cu##name(void) { \
        ENTER(ANY); \
        warning("unsupported", "the call is not simulated"); \
        return leave(NOT_SUPPORTED); \
    }

NO(Array3DCreate_v2) NO(Array3DGetDescriptor_v2) NO(ArrayCreate_v2) NO(ArrayDestroy)
NO(ArrayGetDescriptor_v2) NO(CtxAttach) NO(CtxCreate_v4) NO(CtxDisablePeerAccess)
NO(CtxEnablePeerAccess) NO(CtxGetCacheConfig) NO(CtxGetLimit) NO(CtxGetSharedMemConfig)
NO(CtxSetCacheConfig) NO(CtxSetLimit) NO(CtxSetSharedMemConfig) NO(DeviceCanAccessPeer)
NO(DeviceGetByPCIBusId) NO(FuncGetAttribute) NO(FuncSetAttribute) NO(FuncSetBlockShape)
NO(FuncSetCacheConfig) NO(FuncSetSharedSize) NO(IpcCloseMemHandle) NO(IpcGetEventHandle)
NO(IpcGetMemHandle) NO(IpcOpenEventHandle) NO(IpcOpenMemHandle_v2) NO(Launch) NO(LaunchGrid)
NO(LaunchGridAsync) NO(LaunchKernel) NO(LinkAddData_v2) NO(LinkAddFile_v2) NO(LinkComplete)
NO(LinkCreate_v2) NO(LinkDestroy) NO(MemAllocManaged) NO(MemAllocPitch_v2) NO(MemGetAddressRange_v2)
NO(MemHostRegister_v2) NO(MemHostUnregister) NO(Memcpy2DUnaligned_v2)
NO(Memcpy2D_v2) NO(Memcpy3DAsync_v2) NO(Memcpy3DPeer) NO(Memcpy3DPeerAsync) NO(Memcpy3D_v2)
NO(MemcpyAtoA_v2) NO(MemcpyAtoD_v2) NO(MemcpyAtoH_v2) NO(MemcpyDtoA_v2) NO(MemcpyHtoA_v2)
NO(MemcpyPeer) NO(MemcpyPeerAsync) NO(MemsetD16Async) NO(MemsetD16_v2) NO(MemsetD2D16Async)
NO(MemsetD2D16_v2) NO(MemsetD2D32Async) NO(MemsetD2D32_v2) NO(MemsetD2D8Async) NO(MemsetD2D8_v2)
NO(ModuleGetFunction) NO(ModuleGetGlobal_v2) NO(ModuleGetSurfRef) NO(ModuleGetTexRef) NO(ModuleLoad)
NO(ModuleLoadData) NO(ModuleLoadDataEx) NO(ModuleUnload) NO(ParamSetSize) NO(ParamSetTexRef)
NO(ParamSetf) NO(ParamSeti) NO(ParamSetv) NO(ProfilerInitialize) NO(ProfilerStart) NO(ProfilerStop)
NO(StreamAttachMemAsync) NO(SurfRefGetArray) NO(SurfRefSetArray) NO(TexRefCreate) NO(TexRefDestroy)
NO(TexRefGetAddressMode) NO(TexRefGetAddress_v2) NO(TexRefGetArray) NO(TexRefGetFilterMode)
NO(TexRefGetFlags) NO(TexRefGetFormat) NO(TexRefSetAddress2D_v3) NO(TexRefSetAddressMode)
NO(TexRefSetAddress_v2) NO(TexRefSetArray) NO(TexRefSetFilterMode) NO(TexRefSetFlags)
NO(TexRefSetFormat)
