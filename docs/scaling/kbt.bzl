# A rule for Bazel. Not run by this project's tests.
def _merged_tree_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".dtb")
    args = ctx.actions.args()
    args.add_all(["dto", "apply"])
    args.add(ctx.file.base)
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
        "kbt": attr.label(executable = True, cfg = "exec", mandatory = True),
    },
)
