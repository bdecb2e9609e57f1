"""Rules for Bazel: a base merged with overlays, and a matrix of bases and overlays.

`kbt` is the label of the binary: a file that the workspace holds, or a target that builds it.

    load(":kbt.bzl", "merge_matrix", "merged_tree")

    merged_tree(name = "product", base = "board.dtb", overlays = ["camera.dtbo"], kbt = "//tools:kbt")

    merge_matrix(name = "matrix", bases = glob(["*.dtb"]), overlays = glob(["*.dtbo"]), kbt = "//tools:kbt")
"""

_KBT = attr.label(executable = True, cfg = "exec", allow_single_file = True, mandatory = True)

def _merged_tree_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".dtb")
    args = ctx.actions.args()
    args.add_all(["dto", "apply", ctx.file.base])
    args.add_all(ctx.files.overlays)
    args.add("-o", out)
    ctx.actions.run(
        executable = ctx.executable.kbt,
        arguments = [args],
        inputs = [ctx.file.base] + ctx.files.overlays,
        outputs = [out],
        mnemonic = "MergeTree",
    )
    return [DefaultInfo(files = depset([out]))]

merged_tree = rule(
    implementation = _merged_tree_impl,
    attrs = {
        "base": attr.label(allow_single_file = [".dtb"], mandatory = True),
        "overlays": attr.label_list(allow_files = [".dtbo"], mandatory = True),
        "kbt": _KBT,
    },
)

def _merge_matrix_impl(ctx):
    verdicts = []
    for base in ctx.files.bases:
        for overlay in ctx.files.overlays:
            name = "%s/%s+%s.json" % (ctx.label.name, base.basename, overlay.basename)
            verdict = ctx.actions.declare_file(name)
            # A pair that does not apply is a result, not an error.
            ctx.actions.run_shell(
                command = '"$1" --json dto apply "$2" "$3" -o "$4.dtb" > "$4" || test -s "$4"',
                arguments = [ctx.executable.kbt.path, base.path, overlay.path, verdict.path],
                tools = [ctx.executable.kbt],
                inputs = [base, overlay],
                outputs = [verdict],
                mnemonic = "TryOverlay",
            )
            verdicts.append(verdict)
    return [DefaultInfo(files = depset(verdicts))]

merge_matrix = rule(
    implementation = _merge_matrix_impl,
    attrs = {
        "bases": attr.label_list(allow_files = [".dtb"], mandatory = True),
        "overlays": attr.label_list(allow_files = [".dtbo"], mandatory = True),
        "kbt": _KBT,
    },
)
