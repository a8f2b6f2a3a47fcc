// Run an ONNX engine of edgeseg on OpenVINO: camera bytes in, score and mask bytes out.
//
//     openvino_sample ENGINE.onnx FRAME.raw MASK.raw
//
// FRAME.raw: uint8 [N, H, W, C] in the graph's format; MASK.raw: uint8 [N, H, W], 0 or 255.
// The inference precision must be asked for: with its default hint OpenVINO computes in bfloat16 on
// processors that have it, and the mask differs from the one that edgeseg verified. The value to
// ask for is `edgeseg.inference_precision` in the metadata of the ONNX file: f32, or bf16.
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>

int main(int count, char** arguments) {
    if (count != 4) {
        std::cerr << "usage: openvino_sample ENGINE.onnx FRAME.raw MASK.raw\n";
        return 2;
    }
    try {
        ov::Core core;
        auto model = core.compile_model(arguments[1], "CPU",
                                        ov::hint::inference_precision(ov::element::f32),
                                        ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY));
        auto request = model.create_infer_request();

        auto frame = request.get_tensor("frame");
        std::ifstream input(arguments[2], std::ios::binary);
        if (!input.read(static_cast<char*>(frame.data()), frame.get_byte_size())) {
            std::cerr << arguments[2] << ": expected " << frame.get_byte_size() << " bytes\n";
            return 2;
        }
        request.infer();  // in a loop: fill `frame` again, infer again; nothing is allocated

        auto mask = request.get_tensor("mask");
        std::ofstream output(arguments[3], std::ios::binary);
        output.write(static_cast<const char*>(mask.data()), mask.get_byte_size());
        std::cout << "score " << request.get_tensor("score").data<float>()[0] << "\n";
        return output ? 0 : 2;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
