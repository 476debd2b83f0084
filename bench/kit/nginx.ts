/**
 * nginx in its own prefix on loopback: as the static origin, and as the caching proxy that others
 * are compared with.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freeLowPort, listening, type Program, type Workspace } from "./workspace.ts";

export interface NginxRun {
  readonly program: Program;
  readonly port: number;
}

/** One worker, sendfile, long keep-alive: the settings that every run here has in common. */
function configuration(directory: string, http: string): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/tmp-${name};`)
    .join("\n  ");
  return `${process.getuid?.() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 300;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  ${temporary}
  ${http}
}
`;
}

/** Serves a directory. */
export async function startOrigin(
  workspace: Workspace,
  root: string,
  cpus: string | undefined,
): Promise<NginxRun> {
  // apt-cacher-ng reaches no port from 32768 on.
  const port = await freeLowPort();
  const server = `server { listen 127.0.0.1:${String(port)} backlog=1024; root ${root}; }`;
  return start(workspace, { name: "origin", port, http: server, cpus });
}

/** Caches what the origin has, for a request line in either form. */
export async function startCache(
  workspace: Workspace,
  origin: number,
  options: { readonly cache: string; readonly port: number; readonly cpus: string | undefined },
): Promise<NginxRun> {
  const { cache, port, cpus } = options;
  const http = `proxy_cache_path ${cache} levels=1:2 keys_zone=files:32m max_size=20g
    inactive=60d use_temp_path=off;
  upstream origin { server 127.0.0.1:${String(origin)}; keepalive 32; }
  server {
    listen 127.0.0.1:${String(port)} backlog=1024;
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache files;
      proxy_cache_key $uri;
      proxy_cache_valid 200 60d;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 300s;
      proxy_cache_lock_age 300s;
    }
  }`;
  return start(workspace, { name: "nginx", port, http, cpus });
}

async function start(
  workspace: Workspace,
  {
    name,
    port,
    http,
    cpus,
  }: {
    readonly name: string;
    readonly port: number;
    readonly http: string;
    readonly cpus: string | undefined;
  },
): Promise<NginxRun> {
  const directory = workspace.path(`${name}-prefix`);
  mkdirSync(directory, { recursive: true });
  const path = join(directory, "nginx.conf");
  writeFileSync(path, configuration(directory, http));
  const program = workspace.start(name, ["nginx", "-p", directory, "-c", path], {
    cpus,
    env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin` },
  });
  await listening(program, port);
  return { program, port };
}
