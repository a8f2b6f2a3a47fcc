"""Product and head of DeSTSeg, small: features in, logits out, no weight or statistic trivial."""

import io
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from edgeseg.export.export import OPSET, _tidy
from edgeseg.model.head import SegmentationHead
from edgeseg.model.similarity import Agreement

CHANNELS = (4, 8, 12)
WIDTH = 16
SIZES = (96, 160, 224, 256)  # of the picture; the map is a quarter


class Middle(nn.Module):
    """Three levels of features, the teacher's and the student's, to logits [B, 1, h, w]."""

    def __init__(self):
        super().__init__()
        self.agreement = Agreement()
        self.head = SegmentationHead(sum(CHANNELS), WIDTH)

    def forward(self, t1, t2, t3, s1, s2, s3):
        return self.head(self.agreement([t1, t2, t3], [s1, s2, s3]))


def features(height, width, batch=1, seed=0):
    """Name -> random features, float32 [batch, C, h, w], of the sizes of the three levels."""
    rng = np.random.default_rng(seed)
    shapes = [(batch, c, height >> k, width >> k) for k, c in enumerate(CHANNELS)]
    names = ("t1", "t2", "t3", "s1", "s2", "s3")
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in zip(names, shapes * 2, strict=True)
    }


def small_head(height, width, batch=1):
    """The exported graph of the small middle, in eval mode."""
    made = features(height, width, batch)
    with torch.random.fork_rng(), warnings.catch_warnings():
        torch.manual_seed(0)
        module = Middle().eval()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, std=0.2)
                nn.init.uniform_(layer.running_var, 0.2, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 2.0)
                nn.init.normal_(layer.bias, std=0.3)
        inputs = tuple(torch.from_numpy(value) for value in made.values())
        program = torch.onnx.export(
            module,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(made),
            output_names=["logits"],
            verbose=False,
        )
    model = program.model_proto
    _tidy(model)
    return model


def answer(model, feeds):
    """The logits, float32 [B, 1, h, w], as ONNX Runtime computes the nodes one by one."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    stream = io.BytesIO()
    onnx.save(model, stream)
    session = onnxruntime.InferenceSession(
        stream.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(["logits"], feeds)[0]
