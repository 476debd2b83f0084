/**
 * What apt's sources say about Releases: which root an archive has, and whose signature counts.
 *
 * Read from `sources.list` and `sources.list.d` below apt's configuration directory; read again
 * whenever the answer could have changed (`refresh`), since administrators edit these files.
 */
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Counters } from "../base/counters.ts";
import type { Log } from "../base/ports.ts";
import type { Files } from "../base/storage.ts";
import {
  parseDeb822Sources,
  parseOneLineSources,
  releaseDirectory,
  type SourceEntry,
} from "./apt-sources.ts";
import { readWhole } from "./file-io.ts";
import type { SignedBy } from "./ports.ts";

export interface ReleaseSource {
  /** Root of the archive: what indexes list is relative to it. */
  readonly base: string;
  readonly signedBy: SignedBy | undefined;
  readonly trusted: boolean | undefined;
}

export interface SourcesComponents {
  readonly files: Files;
  readonly log: Log;
  readonly counters: Counters;
}

export class Sources {
  readonly #components: SourcesComponents;
  readonly #configDirectory: string;
  readonly #ownAuthorities: readonly string[];
  #entries: readonly SourceEntry[] = [];

  constructor(
    components: SourcesComponents,
    settings: {
      readonly aptConfigDirectory: string;
      readonly ownAuthorities: readonly string[];
    },
  ) {
    this.#components = components;
    this.#configDirectory = settings.aptConfigDirectory;
    this.#ownAuthorities = settings.ownAuthorities;
  }

  /** Reads the sources again. What cannot be read is logged and left out. */
  async refresh(): Promise<void> {
    const directory = `${this.#configDirectory}/sources.list.d`;
    const entries = await this.#read(`${this.#configDirectory}/sources.list`);
    const listed = await this.#list(directory);
    for (const name of listed.slice(0, limits.sourcesFiles)) {
      entries.push(...(await this.#read(`${directory}/${name}`)));
    }
    this.#entries = entries;
  }

  /** Hosts (without ports) that a source names; those may be dialled wherever they are. */
  hosts(): ReadonlySet<string> {
    // Without the brackets of an IPv6 literal, as everybody asks who has the address in hand.
    return new Set(this.#entries.map(({ host }) => host.replace(/^\[|\]$/g, "")));
  }

  /** What the sources say about the Release in `directory`; undefined if they do not name it. */
  about(directory: string): ReleaseSource | undefined {
    const matching = this.#entries.filter((entry) =>
      entry.suites.some((suite) => releaseDirectory(entry.root, suite) === directory),
    );
    const [first] = matching;
    if (first === undefined) return undefined;
    // apt refuses sources that differ in Signed-By: with keys named at all, those count.
    const keyed = matching.find(({ signedBy }) => signedBy !== undefined) ?? first;
    return { base: first.root, signedBy: keyed.signedBy, trusted: first.trusted };
  }

  async #list(directory: string): Promise<readonly string[]> {
    try {
      const found = await this.#components.files.list(directory);
      const files = found.filter(
        ({ name, directory: isDirectory }) => !isDirectory && isSource(name),
      );
      return files.map(({ name }) => name).sort();
    } catch (thrown) {
      this.#unreadable(directory, thrown);
      return [];
    }
  }

  async #read(path: string): Promise<SourceEntry[]> {
    try {
      const bytes = await readWhole(this.#components.files, path, limits.sourcesBytes);
      if (bytes === undefined) return [];
      const parse = path.endsWith(".sources") ? parseDeb822Sources : parseOneLineSources;
      const { entries, malformed } = parse(bytes.toString("utf8"), this.#ownAuthorities);
      if (malformed.length > 0) {
        this.#components.counters.add("archive.sources.malformed", malformed.length);
        this.#components.log.debug("archive.sources.malformed", { path, at: malformed.join(",") });
      }
      return [...entries];
    } catch (thrown) {
      this.#unreadable(path, thrown);
      return [];
    }
  }

  #unreadable(path: string, thrown: unknown): void {
    this.#components.counters.add("archive.sources.unreadable");
    this.#components.log.warn("archive.sources.unreadable", { path, error: errorText(thrown) });
  }
}

/** apt's rule for parts of a directory: letters, digits, `_`, `-`, `.` and one of two endings. */
function isSource(name: string): boolean {
  return /^[A-Za-z0-9_.-]+\.(?:list|sources)$/.test(name) && !name.startsWith(".");
}
