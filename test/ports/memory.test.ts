import { MemoryFiles } from "../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../src/sim/memory-key-value.ts";
import { filesSuite } from "./files.suite.ts";
import { keyValueSuite } from "./key-value.suite.ts";

const nothing = (): Promise<void> => Promise.resolve();

keyValueSuite("memory", () => Promise.resolve({ kv: new MemoryKeyValue(), close: nothing }));
filesSuite("memory", () =>
  Promise.resolve({ files: new MemoryFiles(), directory: "/store", close: nothing }),
);
