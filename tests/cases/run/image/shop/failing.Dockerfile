FROM pipe-test/debian:12
RUN echo about to fail && exit 3
