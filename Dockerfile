# One file for every place that is not a laptop:
#   docker build --target server .          webhooks and runs; `docker run … npm run worker` for a worker of its own
#   docker build --target lambda-worker .   the durable function of serverless.yml
#   docker build --target lambda-sandbox .  its sandbox and setup functions: repository code, no secret
#   docker build --target coder .           MILLWRIGHT_SANDBOX_IMAGE with Claude Code in it (docs/coders.md)
ARG BASE=docker.io/library/node:24-bookworm-slim

FROM ${BASE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Node is the image's own, and Temporal brings a core for each platform.
RUN npm ci --omit=dev \
  && rm -rf node_modules/node node_modules/.bin/node \
  && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +

FROM ${BASE} AS runtime
# git for every workspace; the others are the sandbox's on a machine of one's own.
ARG PACKAGES="git ca-certificates bubblewrap socat ripgrep"
RUN apt-get update \
  && apt-get install -y --no-install-recommends ${PACKAGES} \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --create-home millwright
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json app.yml ./
COPY src ./src
ENV NODE_ENV=production

FROM runtime AS server
ENV MILLWRIGHT_DATA=/data HOST=0.0.0.0
RUN mkdir /data && chown millwright /data
VOLUME /data
USER 10001
EXPOSE 3000
CMD ["node", "--max-semi-space-size=8", "src/run/server.ts"]

FROM runtime AS lambda-worker
USER 10001
ENTRYPOINT ["node", "src/run/lambda/runtime-client.ts"]
CMD ["/app/src/run/lambda/worker.ts"]

FROM ${BASE} AS lambda-sandbox
# What the served repositories are built with, besides Node.
ARG TOOLCHAINS="python3 python3-pip python3-venv make"
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates ${TOOLCHAINS} \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --create-home millwright
WORKDIR /app
COPY src/run/lambda/runtime-client.ts ./
COPY build/lambda/sandbox.mjs ./
USER 10001
ENTRYPOINT ["node", "runtime-client.ts"]
CMD ["/app/sandbox.mjs"]

FROM ${BASE} AS coder
# What the served repositories are built with, besides Node.
ARG TOOLCHAINS="python3 python3-pip python3-venv make"
ARG CLAUDE_CODE=2.1.197
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates ripgrep socat ${TOOLCHAINS} \
  && rm -rf /var/lib/apt/lists/*
# Its install script puts this machine's program in its place; npm may not be allowed to run it.
RUN npm install --global --ignore-scripts "@anthropic-ai/claude-code@${CLAUDE_CODE}" \
  && node "$(npm root --global)/@anthropic-ai/claude-code/install.cjs" \
  && npm cache clean --force \
  && claude --version
CMD ["bash"]
