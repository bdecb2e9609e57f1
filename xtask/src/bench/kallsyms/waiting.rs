//! A vmlinux that waits for its table, made of one that has it.
//!
//! The objects of a distribution's kernel are not to be had, but its symbols are: without the kernel's own table they stand
//! for an object, from which `kbt kallsyms pad` makes the room. objcopy adds that room to the whole vmlinux, debug
//! information and all, under the names of the arrays; those of the old ones get names that the kernel's filter drops.

use std::path::Path;
use std::process::Command;

use crate::run::{self, Result};

/// How the room is made, without the object.
pub const PAD: [&str; 8] =
    ["pad", "refs.o", "--all-symbols", "--kernel", "6.1", "--pad-file", "kallsyms.pad", "-okallsyms.o"];

/// `$1` is the vmlinux, `$2` kbt, `$3` a directory, the others are the words of [`PAD`].
const PREPARE: &str = r#"
cd "$3" || exit 1
vmlinux=$1 kbt=$2
shift 3
arrays='offsets relative_base num_syms names markers seqs_of_names token_table token_index'
without='' renamed='' added=''
for array in $arrays; do
    without="$without -N kallsyms_$array"
    renamed="$renamed --redefine-sym kallsyms_$array=.Lkallsyms_$array"
done
objcopy --strip-debug --remove-relocations='*' "$vmlinux" bare.elf && objcopy $without bare.elf bare.o || exit 1
for array in $arrays; do printf '.weak kallsyms_%s\n.quad kallsyms_%s\n' $array $array; done | as -o refs.o - || exit 1
"$kbt" kallsyms "$@" bare.o && objcopy -O binary -j .rodata kallsyms.o waiting.bin || exit 1
place() { nm "$1" | sed -n "s/ [A-Za-z] $2\$//p"; }
# What the linker would do: the base is the address of _text, the lowest byte first.
bytes=$(place "$vmlinux" _text | sed 's/../&\n/g' | tac | sed '/./s/^/\\x/' | tr -d '\n')
printf "$bytes" | dd of=waiting.bin bs=1 seek=$((0x$(place kallsyms.o kallsyms_relative_base))) conv=notrunc status=none
for array in $arrays; do
    added="$added --add-symbol kallsyms_$array=.kallsyms:0x$(place kallsyms.o kallsyms_$array),global"
done
objcopy $renamed --add-section .kallsyms=waiting.bin --set-section-flags .kallsyms=alloc,readonly,data,contents \
    --change-section-address .kallsyms=0xffffffff8f000000 $added "$vmlinux" vmlinux 2>objcopy.log || exit 1
rm -f bare.elf
"#;

/// Makes `vmlinux`, `waiting.bin` and `kallsyms.pad` in `scratch`; gives where in the file the table waits.
pub fn prepare(vmlinux: &Path, kbt: &Path, bench: &Path, scratch: &Path) -> Result<u64> {
    eprintln!("preparing a vmlinux that waits for its table");
    let mut command = Command::new("bash");
    command.args(["-c", PREPARE, "bash"]).arg(vmlinux).arg(kbt).arg(scratch).args(PAD).env("LC_ALL", "C");
    run::output(&mut command)?;
    // objcopy adds symbols without a size.
    let mut sizes = Command::new(bench);
    run::output(sizes.arg("sizes").arg(scratch.join("vmlinux")).arg(scratch.join("kallsyms.pad")))?;
    place(scratch)
}

/// Lets the table wait again.
pub fn reset(scratch: &Path) -> Result {
    let mut command = Command::new("dd");
    command.args([
        "if=waiting.bin",
        "of=vmlinux",
        "bs=64K",
        "oflag=seek_bytes",
        "conv=notrunc",
        "status=none",
    ]);
    command.arg(format!("seek={}", place(scratch)?)).current_dir(scratch);
    run::output(&mut command).map(drop)
}

fn place(scratch: &Path) -> Result<u64> {
    let sections =
        run::text(Command::new("readelf").arg("-SW").arg(scratch.join("vmlinux")).env("LC_ALL", "C"))?;
    let line = sections.lines().find(|line| line.contains(" .kallsyms "));
    let offset = line.and_then(|line| line.split(']').nth(1)?.split_whitespace().nth(3));
    let offset = offset.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    offset.ok_or_else(|| "objcopy has added no section".to_owned())
}
