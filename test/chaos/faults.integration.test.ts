import { faults } from "./scenarios/index.ts";
import { testShortVersions } from "./short.ts";

testShortVersions(faults);
