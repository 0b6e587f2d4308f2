import type { HiddenCounts } from "./hidden-counts.ts";

/** What is seen of a fenced block that GitHub renders instead of showing it; other code unchanged. */
export function visibleDiagram(value: string, language: string, hidden: HiddenCounts): string {
  switch (language) {
    case "mermaid":
      return visibleMermaid(value, hidden);
    case "math":
      return visibleFormula(value, hidden);
    case "geojson":
    case "topojson":
    case "stl":
      hidden.add("diagram", 1);
      return `[${language}]`;
    default:
      return value;
  }
}

/** A formula without TeX comments; one that uses commands which hide text is left out as a whole. */
export function visibleFormula(value: string, hidden: HiddenCounts): string {
  const shown = value.replace(/(?<!\\)%.*/g, "");
  if (shown !== value) hidden.add("math-comment", 1);
  if (!hidingCommand.test(shown)) return shown;
  hidden.add("formula", 1);
  return "[formula]";
}

/** Formulas in running text: `$…$` on a line and `$$…$$`. */
export function visibleFormulas(text: string, truncated: boolean, hidden: HiddenCounts): string {
  const shown = text.replace(/\$\$([^$]*)(\$\$|$)/g, (whole, body: string, end: string) => {
    if (end !== "") return `$$${visibleFormula(body, hidden)}$$`;
    return truncated ? "" : whole;
  });
  return shown.replace(
    // Formulas that touch (`$a$$b$`) count as well: what might be a formula must not show what a formula hides.
    /\$(?![\s$])([^$\n]*[^$\s])\$(?!\d)/g,
    (_, body: string) => `$${visibleFormula(body, hidden)}$`,
  );
}

// Invisible, coloured, displaced or defined elsewhere: a reader does not see what is written.
const hidingCommand =
  /\\(?:[hv]?phantom|color|textcolor|colorbox|fcolorbox|definecolor|label|tag|def|gdef|let|newcommand|renewcommand|newenvironment|href|url|class|cssId|style|data|texttip|mathtip|toggle|enclose|require|unicode|mmlToken|kern|mkern|hskip|mskip|hspace|vspace|raise|lower|moveleft|moveright|[clr]lap|math[clr]lap|smash|rule|iffalse|if)(?![a-z])/i;

function visibleMermaid(value: string, hidden: HiddenCounts): string {
  const body = value.replace(/^[ \t]*---[ \t]*\n[\s\S]*?\n[ \t]*---[ \t]*(?:\n|$)/, "");
  const lines = body
    .replace(/%%\{[\s\S]*?\}%%/g, "")
    .replace(/\baccDescr\s*\{[^}]*\}?/g, "")
    .split("\n");
  const shown = lines
    .filter(
      (line) =>
        !/^\s*(?:%%|accTitle|accDescr|click\b|link\b|links\b|href\b|style\b|linkStyle\b|classDef\b|class\b.*:::|callback\b)/.test(
          line,
        ),
    )
    .map((line) => line.replace(/%%.*/, ""));
  if (shown.join("\n") !== value) hidden.add("diagram-comment", 1);
  return shown.join("\n");
}
