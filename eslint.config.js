import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

// The core rooms take time, randomness and I/O as values, so that the daemon and the simulator run
// the same code. What could break that is an error here.
const rooms = [
  ...["base", "bencode", "krpc", "dht", "swarm", "archive", "cache", "config", "engine", "sim"],
];
const core = rooms.map((room) => `src/${room}/**/*.ts`);
const message = "core rooms get time, randomness and I/O through ports (ARCHITECTURE.md)";

export default tseslint.config(
  { ignores: ["dist/", "node_modules/", ".cache/", "build/", "debian/apt-p2p/"] },
  eslint.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/prefer-readonly": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "max-lines": ["error", 500],
      "max-lines-per-function": ["error", 80],
      complexity: ["error", 15],
      "max-params": ["error", 4],
    },
  },
  {
    files: core,
    rules: {
      "no-restricted-globals": [
        "error",
        ...["setTimeout", "setInterval", "setImmediate", "process", "performance", "fetch"].map(
          (name) => ({ name, message }),
        ),
      ],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message },
        { object: "Math", property: "random", message },
      ],
      "no-restricted-syntax": [
        "error",
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message },
      ],
      "no-restricted-imports": ["error", { patterns: [{ group: ["node:*"], message }] }],
    },
  },
  {
    // Tests and benches are programs of their own: they may print, and may be as long as a story is.
    files: ["test/**/*.ts", "bench/**/*.ts"],
    rules: {
      "no-console": "off",
      "@typescript-eslint/explicit-module-boundary-types": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "@typescript-eslint/no-unused-expressions": "off",
    },
  },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: {
      globals: { process: "readonly", console: "readonly", URL: "readonly", Buffer: "readonly" },
    },
  },
);
