// Tables in the test output: the figures the acceptance asks for.

/** Prints rows of equal shape as a table, the first row's keys as its head. */
export function table(title, rows) {
  if (rows.length === 0) return;
  const head = Object.keys(rows[0]);
  const cells = [head, ...rows.map((row) => head.map((key) => String(row[key] ?? "")))];
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i].length)));
  console.log(`\n${title}`);
  for (const row of cells)
    console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i])).join("  ")}`);
}
