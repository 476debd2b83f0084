/**
 * The mirror of the bench: nginx where it is installed, else a static server of our own, in a
 * process of its own. Fast enough either way that it is never what is measured.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";
import { pipeline } from "node:stream";
import { fileURLToPath } from "node:url";
import { startOrigin } from "./nginx.ts";
import { freeLowPort, hasProgram, listening, type Workspace } from "./workspace.ts";

/** Serves a directory on loopback → its port. */
export async function startOriginServer(
  workspace: Workspace,
  root: string,
  cpus: string,
): Promise<number> {
  if (hasProgram("nginx")) return (await startOrigin(workspace, root, cpus)).port;
  const port = await freeLowPort();
  const command = [process.execPath, "--import", "tsx", fileURLToPath(import.meta.url)];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const program = workspace.start("origin", [...command, root, String(port)], { cpus, cwd });
  await listening(program, port);
  return port;
}

function serve(root: string, port: number): void {
  const server = createServer((request, response) => {
    const path = join(root, normalize(decodeURIComponent(request.url ?? "/")));
    stat(path).then(
      (facts) => {
        if (!facts.isFile()) return void response.writeHead(404, { "Content-Length": 0 }).end();
        response.writeHead(200, {
          "Content-Type": "application/octet-stream",
          "Content-Length": facts.size,
          "Last-Modified": facts.mtime.toUTCString(),
        });
        pipeline(createReadStream(path, { highWaterMark: 512 * 1024 }), response, () => undefined);
      },
      () => void response.writeHead(404, { "Content-Length": 0 }).end(),
    );
  });
  server.keepAliveTimeout = 300_000;
  server.listen(port, "127.0.0.1");
}

const [, script, root, port] = process.argv;
if (script === fileURLToPath(import.meta.url) && root !== undefined) serve(root, Number(port));
