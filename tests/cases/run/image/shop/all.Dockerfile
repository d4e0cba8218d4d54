FROM pipe-test/debian:12 AS runtime
ARG VERSION=0
ENV VERSION=$VERSION
RUN echo shop > /label
COPY . /shop/

FROM runtime
RUN echo this stage is not built && exit 1
