# The engine on NVIDIA: vLLM's official image plus the two packages that hold our flags. Nothing is installed.
#
#   docker build -f deploy/images/engine-gpu.Dockerfile -t vqc/engine-gpu .

ARG BASE=vllm/vllm-openai:v0.32.0
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="VQC engine (GPU)" \
      org.opencontainers.image.description="vLLM with the flags that VQC's service expects" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY vqc /opt/vqc/vqc
COPY engine /opt/vqc/engine
# vLLM and Triton write their caches below HOME.
ENV PYTHONPATH=/opt/vqc HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=15s --start-period=15m --retries=3 CMD ["python3", "-m", "engine.probe"]
ENTRYPOINT ["python3", "-m", "engine.serve"]
CMD ["/models/current", "--host", "0.0.0.0", "--profile", "gpu"]
