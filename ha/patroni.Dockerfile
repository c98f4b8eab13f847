# PostgreSQL under Patroni. Built from the folder above: docker-compose -f docker-compose.yml -f docker-compose.ha.yml build
FROM postgres:18
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY ha/requirements.txt /opt/patroni/requirements.txt
RUN python3 -m venv /opt/patroni/venv \
    && /opt/patroni/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/patroni/requirements.txt
ENV PATH=/opt/patroni/venv/bin:$PATH
COPY postgres/initdb.sql /opt/iris/initdb.sql
COPY postgres/schema /opt/iris/schema
COPY ha/patroni.yml ha/seed /opt/patroni/
USER postgres
# A node that is told to stop hands over first.
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["patroni", "/opt/patroni/patroni.yml"]
