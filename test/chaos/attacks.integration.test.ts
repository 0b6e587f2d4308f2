import { attacks } from "./scenarios/index.ts";
import { testShortVersions } from "./short.ts";

testShortVersions(attacks);
