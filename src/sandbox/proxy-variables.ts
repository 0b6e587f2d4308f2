/** Settings by which package managers find a proxy at `address` (`http://host:port`), loopback apart. */
export function proxyVariables(address: string): Record<string, string> {
  const { hostname, port, origin: url } = new URL(address);
  const here = "localhost,127.0.0.1,::1";
  const java = ["http", "https"].map(
    (kind) => `-D${kind}.proxyHost=${hostname} -D${kind}.proxyPort=${port === "" ? 80 : port}`,
  );
  return {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    http_proxy: url,
    https_proxy: url,
    NO_PROXY: here,
    no_proxy: here,
    NODE_USE_ENV_PROXY: "1", // Node's own fetch: https://nodejs.org/api/cli.html#node_use_env_proxy1
    JAVA_TOOL_OPTIONS: java.join(" "),
  };
}
