/**
 * Completion for bash, from the command table and the option table: commands, options, values that
 * are words, files. It needs nothing of the package bash-completion but the directory that it loads
 * from.
 */
import { commands, commonFlags } from "../src/cli/commands.ts";
import type { Command } from "../src/cli/commands.ts";
import { optionRows } from "../src/config/options.ts";

export function bashCompletion(): string {
  const values = [...valuesOfOptions()];
  const taking = values.map(([option]) => option).join("|");
  return `# bash completion for apt-p2p(8).
# Made by \`npm run gen\` from the tables in src; changes here are lost.

_apt_p2p()
{
    local cur=\${COMP_WORDS[COMP_CWORD]} option command word i
    local -a given=()
    COMPREPLY=()

    # "--share=fresh" arrives as three words: the equals sign separates.
    if [[ $cur == = ]]; then
        option=\${COMP_WORDS[COMP_CWORD-1]} cur=""
    elif ((COMP_CWORD > 2)) && [[ \${COMP_WORDS[COMP_CWORD-1]} == = ]]; then
        option=\${COMP_WORDS[COMP_CWORD-2]}
    else
        option=\${COMP_WORDS[COMP_CWORD-1]}
    fi

    # The words of the command: without options and their values.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=\${COMP_WORDS[i]}
        if [[ $word == = ]]; then
            ((i++))
        elif [[ $word == -* ]]; then
            case $word in
                ${taking})
                    [[ \${COMP_WORDS[i+1]} == = ]] || ((i++)) ;;
            esac
        else
            given+=("$word")
        fi
    done

    case $option in
${valueCases(values)}
    esac

    local options="${commonOptions()}" words="" files=""
    local settings="${optionRows.map(({ flag }) => `--${flag}`).join(" ")}"
    command=\${given[0]-}
    case $command in
        ${groups().join("|")}) command+=" \${given[1]-}" ;;
    esac
    case $command in
${commandCases()}
${[...groups(), ""].map(groupCase).join("\n")}
    esac

    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ -n $files ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
} &&
    complete -F _apt_p2p apt-p2p
`;
}

/** Option as it is typed → what stands for its value in help. */
function valuesOfOptions(): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  const flags = [...commonFlags, ...commands.flatMap((command) => command.flags)];
  for (const flag of flags) {
    if (flag.value === undefined) continue;
    values.set(`--${flag.name}`, flag.value);
    if (flag.short !== undefined) values.set(`-${flag.short}`, flag.value);
  }
  for (const { flag, option } of optionRows) values.set(`--${flag}`, option.kind.placeholder);
  return values;
}

/** Options with the same kind of value together. */
function valueCases(values: readonly (readonly [string, string])[]): string {
  const byReply = new Map<string, string[]>();
  for (const [option, value] of values) {
    const reply = replyTo(value);
    byReply.set(reply, [...(byReply.get(reply) ?? []), option]);
  }
  return [...byReply]
    .map(
      ([reply, options]) =>
        `        ${options.join("|\\\n        ")})\n            ${reply}return ;;`,
    )
    .join("\n");
}

function replyTo(value: string): string {
  // What is to be typed as it stands is in lower case: auto|SIZE.
  const words = value.split("|").filter((word) => /^[a-z]+$/.test(word));
  const fill = (what: string): string =>
    `mapfile -t COMPREPLY < <(compgen ${what} -- "$cur")\n            `;
  if (words.length > 0) return fill(`-W "${words.join(" ")}"`);
  const names = "compopt -o filenames 2>/dev/null\n            ";
  if (value === "FILE") return `${names}${fill("-f")}`;
  return value.startsWith("PATH") ? `${names}${fill("-d")}` : "";
}

/** What each command takes, those with the same together. */
function commandCases(): string {
  const byReply = new Map<string, string[]>();
  for (const command of commands) {
    const reply = commandReply(command);
    byReply.set(reply, [...(byReply.get(reply) ?? []), `"${command.name}"`]);
  }
  return [...byReply]
    .map(([reply, names]) => `        ${names.join("|")})\n            ${reply} ;;`)
    .join("\n");
}

function commandReply(command: Command): string {
  const own = command.flags.flatMap(({ name, short }) =>
    short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`],
  );
  // The daemon's settings matter to others only as far as they say which daemon is meant.
  const all = command.name === "daemon" || command.name.startsWith("config ");
  const options = [...own, all ? "$settings" : "--state-dir"].join(" ");
  const files = /FILE|PATH/.test(command.operands.synopsis) ? " files=yes" : "";
  return `options+=" ${options}"${files}`;
}

/** Where a command is still to be typed, in whole or its second word. */
function groupCase(group: string): string {
  const start = group === "" ? "" : `${group} `;
  const words = commands
    .filter(({ name }) => name.startsWith(start))
    .map(({ name }) => name.slice(start.length).split(" ")[0] ?? "");
  return `        "${start}")\n            words="${[...new Set(words)].join(" ")}" ;;`;
}

function commonOptions(): string {
  return commonFlags
    .flatMap(({ name, short }) =>
      short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`],
    )
    .join(" ");
}

/** First words that are no commands by themselves. */
function groups(): string[] {
  const firsts = commands.flatMap(({ name }) =>
    name.includes(" ") ? [name.split(" ")[0] ?? ""] : [],
  );
  return [...new Set(firsts)];
}
