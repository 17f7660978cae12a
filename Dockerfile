# `memedit serve` with a memory in PostgreSQL (compose.yaml) or in the volume /memory. The encoders come with memedit, so
# nothing is fetched when it runs.
FROM python:3.11-slim

COPY . /src
RUN pip install --no-cache-dir -c /src/constraints.txt '/src[hosted,postgres,server]' && rm -r /src
RUN useradd --system memedit && install -d -o memedit /memory
USER memedit
ENV MEMEDIT_MEMORY=/memory OMP_NUM_THREADS=1
VOLUME /memory
EXPOSE 8080
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz')"]
ENTRYPOINT ["memedit"]
CMD ["serve", "--help"]
