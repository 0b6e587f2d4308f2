/** A repository at one commit, read without running anything in it. */
export interface RepositoryView {
  /** The paths of all files, relative to the root, with "/" between the parts. */
  files: readonly string[];
  /** Returns the text of a file, or undefined where there is none. */
  read(path: string): Promise<string | undefined>;
}
