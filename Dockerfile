# seqbench on a CPU. docs/install.md says how to build and run it.
FROM python:3.11-slim

# What its wheel is made of, and no more: .dockerignore leaves the rest out.
COPY . /source
# Of equal versions pip takes the one with a local label, as 2.13.0+cpu: without CUDA, some gigabytes less.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu "/source[parquet]"

# Studies, reports and the cache of texts lie in /studies, which whoever runs the image mounts; nothing runs as root.
RUN useradd --uid 1000 --home-dir /studies --create-home seqbench
ENV HOME=/studies
USER seqbench
WORKDIR /studies
ENTRYPOINT ["seqbench"]
CMD ["--help"]
