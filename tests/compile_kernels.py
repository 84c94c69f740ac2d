"""Compile the fused step's kernels for a GPU that need not be there, and print what they use.

`python tests/compile_kernels.py`: a line per kernel with the registers of a thread, the bytes of them that are spilled
(stored, loaded) and the shared memory of a block; for sm_90 (H100) by default.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

import torch
import triton
from einorm.tools.benchmark import network_of
from einorm.training import fused, kernels
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend

KERNELS = ("update_and_drive", "forward", "send_back", "readout", "pass_down")
CONDITIONS = ("gradnorm_full", "inorm_sub", "ei_ln", "e_only_ln", "lateral_plastic")


def launches(condition, width=488, runs=2, images=32):
    """The distinct (kernel name, arguments) that a chunk of the condition launches."""
    found = {}

    class Recorder:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, grid):
            def record(*arguments, **options):
                source, used = specialize(self.kernel, arguments, options)
                key = (self.kernel.__name__, str(source.signature), str(source.constants), str(source.attrs))
                found[key] = source, used

            return record

    plain = {name: getattr(kernels, name) for name in KERNELS}
    try:
        for name, kernel in plain.items():
            setattr(kernels, name, Recorder(kernel))
        network = network_of(condition, width, runs)
        fused.train_chunk(network, fused.prepare_chunk(network, (images, 784), 2), 2)
    finally:
        for name, kernel in plain.items():
            setattr(kernels, name, kernel)
    return {(condition, *key): value for key, value in found.items()}


def specialize(kernel, arguments, options):
    """A launch as Triton's compiler takes it, and its compile options: what a launch on a GPU would specialize on."""
    names = kernel.arg_names
    values = dict(zip(names, arguments, strict=False)) | {k: v for k, v in options.items() if k in names}
    compile_options = {k: v for k, v in options.items() if k not in names}
    signature, constants, attributes = {}, {}, {}
    for i, name in enumerate(names):
        value = values[name]
        if isinstance(value, torch.Tensor):
            signature[name] = {torch.float32: "*fp32", torch.int32: "*i32"}[value.dtype]
            attributes[(i,)] = [["tt.divisibility", 16]]
        elif isinstance(value, bool | str) or value is None or value == 1 or kernel.params[i].is_constexpr:
            signature[name], constants[name] = "constexpr", value
        else:
            signature[name] = "i32"
            if value % 16 == 0:
                attributes[(i,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constants, attributes), compile_options


def resources(source, options, capability):
    """Registers, spilled bytes (stores and loads) and shared memory of a compiled kernel."""
    target = GPUTarget("cuda", capability, 32)
    backend = make_backend(target)
    compiled = triton.compile(source, target=target, options=backend.parse_options(options).__dict__)
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        ptx = Path(folder) / "kernel.ptx"
        ptx.write_text(compiled.asm["ptx"])
        ptxas = triton.knobs.nvidia.ptxas.path
        architecture = f"sm_{capability}a" if capability >= 90 else f"sm_{capability}"
        command = [ptxas, "-v", f"--gpu-name={architecture}", str(ptx), "-o", str(cubin)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = int(re.search(r"Used (\d+) registers", said)[1])
    spilled = [int(n) for n in re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said).groups()]
    return registers, spilled, compiled.metadata.shared, compiled.metadata.num_warps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS)
    arguments = parser.parse_args()
    for condition in arguments.conditions:
        for (_, name, *_), (source, options) in launches(condition).items():
            registers, spilled, shared, warps = resources(source, options, arguments.capability)
            used = f"{warps:2} warps {registers:4} registers, {spilled} spilled, {shared:7} shared"
            print(f"{condition:16} {name:18} {used}", flush=True)


if __name__ == "__main__":
    main()
