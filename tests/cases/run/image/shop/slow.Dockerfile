FROM pipe-test/debian:12
RUN sleep 120
