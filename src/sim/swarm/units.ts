/** As links and files are sold: powers of ten. Rates in bytes a second. */
export const MB = 1_000_000;
export const Mbit = 125_000;
