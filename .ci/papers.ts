/** The papers that come from the tables: the sample file and the two manual pages. */
import { version } from "../src/base/version.ts";
import { commands, commonFlags } from "../src/cli/commands.ts";
import type { Command } from "../src/cli/commands.ts";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { wrap } from "../src/cli/text.ts";
import { optionRows, sectionTitles, shownDefault } from "../src/config/options.ts";
import type { OptionRow } from "../src/config/options.ts";
import { bold, example, italic, item, items, page, plain, section } from "./roff.ts";

/** Path in the repository → text. */
export function papers(): ReadonlyMap<string, string> {
  return new Map([
    ["etc/apt-p2p.conf", sampleFile()],
    ["man/apt-p2p.conf.5", configManual()],
    ["man/apt-p2p.8", programManual()],
  ]);
}

const sections = Object.keys(sectionTitles) as OptionRow["section"][];
const reloadable = optionRows.filter((row) => row.option.reloadable === true);

function rowsOf(name: string): readonly OptionRow[] {
  return optionRows.filter((row) => row.section === name);
}

function sampleFile(): string {
  const comment = (text: string): string[] => wrap(text, 96).map((line) => `# ${line}`);
  const lines = [
    ...comment(
      "Configuration of apt-p2p; see apt-p2p.conf(5). Every option is shown with its default. Files conf.d/*.conf in this directory count more than this one, environment and command line more than files. Check changes with `apt-p2p config check`.",
    ),
  ];
  for (const name of sections) {
    lines.push("", "", ...comment(`${sectionTitles[name]}.`), `[${name}]`);
    for (const row of rowsOf(name)) {
      const { help, text, kind } = row.option;
      lines.push(
        "",
        ...comment(`${capital(help)}. ${text}`),
        ...comment(`Accepted: ${kind.accepted}.`),
      );
      if (typeof row.option.default !== "string")
        lines.push(...comment(`Default: as below; ${row.option.default.explained}.`));
      lines.push(`#${row.name} = ${shownDefault(row)}`.trimEnd());
    }
  }
  return `${lines.join("\n")}\n`;
}

function configManual(): string {
  return page({
    name: "apt-p2p.conf",
    section: 5,
    source: `apt-p2p ${version}`,
    manual: "File formats",
    parts: [
      section("Name", plain("apt-p2p.conf - configuration of the apt-p2p daemon")),
      section(
        "Synopsis",
        `${italic("/etc/apt-p2p/apt-p2p.conf")}\n.br\n${italic("/etc/apt-p2p/conf.d/*.conf")}`,
      ),
      section(
        "Description",
        `All options have defaults, and no file is needed. Where an option is given more than once, the later of these counts: the default; ${italic("apt-p2p.conf")}; the files of ${italic("conf.d")} in byte order of their names; the environment; the command line. With ${bold("--config")} ${italic("FILE")} only that file is read.`,
        `A file has sections, ${bold("[section]")}, and in them lines ${bold("key = value")}. Comments go from # or ; to the end of the line, at its start or behind white space. Quotes and continued lines are not known. A list is written on one line with commas; a later list replaces an earlier one. An unknown section or key is an error, as is a key given twice in one file; ${bold("apt-p2p config check")} names all of them.`,
        `Times need a unit: ${bold("ms")}, ${bold("s")}, ${bold("m")}, ${bold("h")} or ${bold("d")}, as in 2.5h. Sizes do, too: ${bold("B")}; ${bold("kB, MB, GB, TB")} with factors of 1000; ${bold("KiB, MiB, GiB, TiB")}, or the letter alone, with factors of 1024.`,
      ),
      ...sections.map((name) =>
        section(
          `[${name}]`,
          items(
            plain(`${sectionTitles[name]}.`),
            rowsOf(name).map((row) => optionItem(row)),
          ),
        ),
      ),
      section(
        "Environment",
        `Every option can be set as ${bold("APT_P2P_")}${italic("SECTION")}${bold("_")}${italic("KEY")} in capitals, such as ${bold("APT_P2P_STORE_CACHE_DIR")}. Other variables that begin with APT_P2P_ are errors.`,
      ),
      section(
        "Example",
        example([
          "[proxy]",
          "bind = 127.0.0.1, 192.168.1.5",
          "allow = 192.168.1.0/24",
          "",
          "[store]",
          "quota = 40GB",
        ]),
      ),
      section("See also", `${bold("apt-p2p")}(8), ${bold("sources.list")}(5)`),
    ],
  });
}

function optionItem(row: OptionRow): string {
  const { kind, help, text } = row.option;
  const given = row.option.default;
  const shown = shownDefault(row);
  const others = typeof given === "string" ? "" : plain(`; ${given.explained}`);
  const reload =
    row.option.reloadable === true ? " SIGHUP gives a new value to the running daemon." : "";
  return item(
    `${bold(row.name)} = ${italic(kind.placeholder)}`,
    plain(`${capital(help)}. ${text}${reload}`),
    `${plain(`Accepted: ${kind.accepted}.`)} Default: ${shown === "" ? "empty" : bold(shown)}${others}.`,
  );
}

function programManual(): string {
  return page({
    name: "apt-p2p",
    section: 8,
    source: `apt-p2p ${version}`,
    manual: "System administration",
    parts: [
      section("Name", plain("apt-p2p - caching, verifying proxy for apt")),
      section("Synopsis", `${bold("apt-p2p")} ${italic("COMMAND")} [${italic("OPTION")}...]`),
      ...description(),
      section("Commands", items("", commands.map(commandItem))),
      section(
        "Options",
        items("Every command takes these.", commonFlags.map(commonItem)),
        items(
          `Every command also takes the options of ${bold("apt-p2p.conf")}(5), with - for _ in their names; each needs a value, as in the file.`,
          optionRows.map((row) =>
            item(
              `${bold(`--${row.flag}`)} ${italic(row.option.kind.placeholder)}`,
              plain(`${capital(row.option.help)}.`),
            ),
          ),
        ),
      ),
      section(
        "Exit status",
        items(
          "",
          Object.values(exitCodes).map(({ code, text }) =>
            item(bold(String(code)), plain(`${capital(text)}.`)),
          ),
        ),
      ),
      ...ending(),
    ],
  });
}

/** Written by hand: what the program is for, and how apt is told about it. */
function description(): string[] {
  return [
    section(
      "Description",
      `${bold("apt-p2p daemon")} listens on ${italic("localhost:9977")} and fetches for apt. What it has fetched it keeps, and serves from then on. It reads the archive's own indexes, so it knows the SHA-256 of every package and index, and never hands out a file as whole whose digest is another. apt still checks all signatures and digests by itself.`,
      "There are two ways to use it. As a prefix of single sources:",
      example(["deb http://localhost:9977/ftp.us.debian.org/debian trixie main"]),
      `or as the proxy of all sources with http, in a file in ${italic("/etc/apt/apt.conf.d")}:`,
      example(['Acquire::http::Proxy "http://localhost:9977";']),
      `Mirrors that offer https only are reached with ${italic("http://localhost:9977/HTTPS///host/path")}, or with http once their hosts are listed in ${bold("https_hosts")}. A source with https in apt's own configuration passes through as a tunnel, unread and unstored.`,
    ),
  ];
}

/** Written by hand: what an administrator needs beside commands and options. */
function ending(): string[] {
  const hup = item(
    bold("SIGHUP"),
    `Reads the configuration again. New values of ${reloadable.map((row) => bold(row.name)).join(", ")} count from then on; all others need a restart.`,
  );
  return [
    section(
      "Signals",
      items("", [
        item(
          bold("SIGTERM, SIGINT"),
          "Ends the daemon. Unfinished files are kept and finished later.",
        ),
        ...(reloadable.length === 0 ? [] : [hup]),
      ]),
    ),
    section(
      "Files",
      items("", [
        item(
          italic("/etc/apt-p2p/apt-p2p.conf"),
          plain("Configuration; conf.d/*.conf beside it counts more. Neither is needed."),
        ),
        item(italic("/var/cache/apt-p2p"), "Stored files, when root runs the daemon."),
        item(
          italic("/var/lib/apt-p2p"),
          `Database, and ${italic("control.sock")}, over which the other commands reach the daemon.`,
        ),
      ]),
    ),
    section(
      "Security",
      `Only this machine and the networks of ${bold("allow")} are served, and only requests that do not come from a browser. A mirror whose address lies on this machine or its link is asked only if apt's sources or ${bold("allow_upstreams")} name it.`,
    ),
    section(
      "See also",
      `${bold("apt-p2p.conf")}(5), ${bold("apt")}(8), ${bold("apt.conf")}(5), ${bold("sources.list")}(5)`,
    ),
  ];
}

function commandItem({ name, flags, operands, summary, text }: Command): string {
  const parts = [
    bold(name),
    ...flags.map((flag) => `[${bold(`--${flag.name}`)}]`),
    ...(operands.synopsis === ""
      ? []
      : [operands.synopsis.replace(/[A-Z]+/g, italic).replace("…", "...")]),
  ];
  const explained = flags.map((flag) => `--${flag.name}: ${flag.help}.`).join(" ");
  return item(parts.join(" "), plain(`${capital(summary)}. ${text} ${explained}`.trimEnd()));
}

function commonItem({ name, short, value, help }: (typeof commonFlags)[number]): string {
  const long = value === undefined ? bold(`--${name}`) : `${bold(`--${name}`)} ${italic(value)}`;
  const term = short === undefined ? long : `${bold(`-${short}`)}, ${long}`;
  return item(term, plain(`${capital(help)}.`));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
