"""MODEL OUT: the graphs that onnxruntime is measured with. `f32.onnx` is fused by onnxruntime's own transformer
optimizer, as its documentation advises; `int8.onnx` is the dynamic quantisation of that."""
import sys
import warnings

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from transformers import AutoModel

from process import print_result

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Hidden(torch.nn.Module):
    """The encoder as a function of its three inputs in order."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, *inputs):
        return self.encoder(**dict(zip(INPUTS, inputs)))[0]


def main():
    model, out = sys.argv[1:]
    warnings.filterwarnings("ignore")
    # The optimizer recognises eager attention only.
    encoder = AutoModel.from_pretrained(model, attn_implementation="eager").eval()
    export(encoder, f"{out}/plain.onnx")
    config = encoder.config
    fused = optimizer.optimize_model(f"{out}/plain.onnx", model_type="bert", num_heads=config.num_attention_heads,
                                     hidden_size=config.hidden_size, opt_level=0)
    fused.save_model_to_file(f"{out}/f32.onnx")
    # Without VNNI, products of two full 8-bit ranges saturate in 16 bits. Types cannot be inferred behind fused nodes.
    quantize_dynamic(f"{out}/f32.onnx", f"{out}/int8.onnx", weight_type=QuantType.QInt8, reduce_range=not has_vnni(),
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    print_result()


def export(encoder, path):
    ids = torch.randint(5, encoder.config.vocab_size, (2, 16))
    axes = {name: {0: "batch", 1: "tokens"} for name in (*INPUTS, "hidden")}
    torch.onnx.export(Hidden(encoder), (ids, torch.ones_like(ids), torch.zeros_like(ids)), path, dynamo=False,
                      input_names=INPUTS, output_names=["hidden"], dynamic_axes=axes, opset_version=17)


def has_vnni():
    with open("/proc/cpuinfo") as info:
        return "vnni" in info.read()


main()
