// Run an ONNX file of edgeseg on ONNX Runtime: camera bytes in, score and mask bytes out.
//
//     onnxruntime_sample GRAPH.onnx FRAME.raw MASK.raw
//
// FRAME.raw: uint8 [N, H, W, C] in the graph's format; MASK.raw: uint8 [N, H, W], 0 or 255.
// `threshold` has a default in the graph; pass a float32 [1] tensor of that name to override it.
#include <fstream>
#include <iostream>
#include <onnxruntime_cxx_api.h>
#include <vector>

int main(int count, char** arguments) {
    if (count != 4) {
        std::cerr << "usage: onnxruntime_sample GRAPH.onnx FRAME.raw MASK.raw\n";
        return 2;
    }
    try {
        Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "edgeseg");
        Ort::SessionOptions options;
        // It quantizes the biases of INT8 engines in steps that FP16 scales cannot represent.
        options.AddConfigEntry("optimization.disable_specified_optimizers", "WeightBiasQuantization");
        Ort::Session session(environment, arguments[1], options);

        auto info = session.GetInputTypeInfo(0);
        auto shape = info.GetTensorTypeAndShapeInfo().GetShape();
        size_t bytes = info.GetTensorTypeAndShapeInfo().GetElementCount();
        std::vector<uint8_t> frame(bytes);
        std::ifstream input(arguments[2], std::ios::binary);
        if (!input.read(reinterpret_cast<char*>(frame.data()), bytes)) {
            std::cerr << arguments[2] << ": expected " << bytes << " bytes\n";
            return 2;
        }
        auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        auto tensor = Ort::Value::CreateTensor<uint8_t>(memory, frame.data(), bytes, shape.data(), shape.size());
        const char* inputs[] = {"frame"};
        const char* outputs[] = {"mask", "score"};
        auto results = session.Run(Ort::RunOptions{nullptr}, inputs, &tensor, 1, outputs, 2);

        std::ofstream output(arguments[3], std::ios::binary);
        size_t pixels = results[0].GetTensorTypeAndShapeInfo().GetElementCount();
        output.write(reinterpret_cast<const char*>(results[0].GetTensorData<uint8_t>()), pixels);
        std::cout << "score " << results[1].GetTensorData<float>()[0] << "\n";
        return output ? 0 : 2;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
