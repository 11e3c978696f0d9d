# Masks of visible faces, with everything that infer.py needs.
#
#   docker build -t occface .                                   for CPUs
#   docker build -t occface --build-arg TORCH_INDEX=ADDRESS .   smaller by several GB: the index of PyTorch's CPU wheels
#   docker build -t occface-gpu --build-arg DEVICE=gpu .        for NVIDIA GPUs
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" occface photos masks
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" --gpus all occface-gpu photos masks
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" --entrypoint python occface /occface/train.py --help
FROM python:3.11-slim
ARG DEVICE=cpu
ARG TORCH_INDEX=
ENV NO_ALBUMENTATIONS_UPDATE=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /occface
COPY requirements.txt requirements-onnx.txt ./
# PyTorch's usual wheels carry CUDA, several GB that are of no use without a GPU; its install page names an index of
# wheels without.
RUN case "$DEVICE" in \
        cpu) [ -z "$TORCH_INDEX" ] || export PIP_EXTRA_INDEX_URL="$TORCH_INDEX" ;; \
        gpu) ;; \
        *) echo "error: DEVICE=$DEVICE is unknown; use cpu or gpu" >&2; exit 2 ;; \
    esac; \
    pip install --no-cache-dir -r requirements.txt && \
    pip install --no-cache-dir -r requirements-onnx.txt
COPY . .
# The image is no good if this does not answer.
RUN python infer.py --help
WORKDIR /data
ENTRYPOINT ["python", "/occface/infer.py"]
