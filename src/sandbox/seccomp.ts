// A filter of system calls, as the classic BPF program that the kernel takes. It closes what namespaces leave open:
// kernel keyrings and VM sockets belong to no namespace, a user namespace of one's own gives capabilities, and the rest
// is kernel surface that builds and tests do not need. https://docs.kernel.org/userspace-api/seccomp_filter.html

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
const CLONE_NEWUSER = 0x1000_0000;
/** Unix, IPv4, IPv6 and netlink sockets: those are confined by the network namespace. */
const SOCKET_FAMILIES = [1, 2, 10, 16];

interface Architecture {
  audit: number;
  socket: number;
  clone: number;
  unshare: number;
  /** Answered "not permitted". */
  refused: number[];
}

/** Answered "not implemented", as on an older kernel, so that libraries fall back: clone3 (its flags cannot be seen) and io_uring. */
const MISSING = [435, 425, 426, 427];
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Architecture>> = {
  // In this order: setns, bpf, perf_event_open, userfaultfd, add_key, request_key, keyctl.
  x64: { audit: 0xc000_003e, socket: 41, clone: 56, unshare: 272, refused: [308, 321, 298, 323, 248, 249, 250] },
  arm64: { audit: 0xc000_00b7, socket: 198, clone: 220, unshare: 97, refused: [268, 280, 241, 282, 217, 218, 219] },
};

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
const ALLOW = 0x7fff_0000;
const KILL = 0x8000_0000;
const refuse = (errno: number) => 0x0005_0000 | errno;
const NUMBER = 0;
const AUDIT = 4;
const FIRST_ARGUMENT = 16;

type Instruction = [code: number, whenTrue: number, whenFalse: number, value: number];

/** The filter's bytes (8 for each instruction, little endian), or undefined on an architecture that is not known here. */
export function systemCallFilter(architecture: NodeJS.Architecture): Buffer | undefined {
  const known = ARCHITECTURES[architecture];
  if (!known) return undefined;
  const program: Instruction[] = [
    [LOAD, 0, 0, AUDIT],
    [JUMP_EQUAL, 1, 0, known.audit],
    [RETURN, 0, 0, KILL],
    [LOAD, 0, 0, NUMBER],
    // The x32 calls of x86-64 have numbers of their own and would pass by the ones below.
    [JUMP_AT_LEAST, 0, 1, 0x4000_0000],
    [RETURN, 0, 0, refuse(ENOSYS)],
    ...MISSING.flatMap((call) => answer(call, ENOSYS)),
    ...known.refused.flatMap((call) => answer(call, EPERM)),
    ...[known.clone, known.unshare].flatMap(withoutUserNamespace),
    ...onlyFamilies(known.socket),
    [RETURN, 0, 0, ALLOW],
  ];
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, whenTrue, whenFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(whenTrue, index * 8 + 2);
    bytes.writeUInt8(whenFalse, index * 8 + 3);
    bytes.writeUInt32LE(value, index * 8 + 4);
  }
  return bytes;
}

function answer(call: number, errno: number): Instruction[] {
  return [
    [JUMP_EQUAL, 0, 1, call],
    [RETURN, 0, 0, refuse(errno)],
  ];
}

function withoutUserNamespace(call: number): Instruction[] {
  return [
    [JUMP_EQUAL, 0, 4, call],
    [LOAD, 0, 0, FIRST_ARGUMENT],
    [JUMP_ANY_BIT, 0, 1, CLONE_NEWUSER],
    [RETURN, 0, 0, refuse(EPERM)],
    [RETURN, 0, 0, ALLOW],
  ];
}

function onlyFamilies(call: number): Instruction[] {
  const families = SOCKET_FAMILIES.flatMap((family): Instruction[] => [
    [JUMP_EQUAL, 0, 1, family],
    [RETURN, 0, 0, ALLOW],
  ]);
  return [
    [JUMP_EQUAL, 0, families.length + 2, call],
    [LOAD, 0, 0, FIRST_ARGUMENT],
    ...families,
    [RETURN, 0, 0, refuse(EAFNOSUPPORT)],
  ];
}
