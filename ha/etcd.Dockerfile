FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends etcd-server etcd-client \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o etcd -g etcd -m 700 /data
USER etcd
VOLUME /data
CMD ["etcd"]
