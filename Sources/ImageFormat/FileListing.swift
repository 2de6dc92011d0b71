/// A file, folder or link of an image, as a process inside sees it.
package struct ImageFile {
    package var entry: TarEntry
    /// Place among the layers of the one whose content counts.
    package var layer: Int
    /// Valid for as long as this value or a copy of it lives.
    package let content: UnsafeRawBufferPointer
    /// What the content lies in. Whoever keeps a list of files and not its tree keeps the bytes too.
    private let owner: MappedBytes?

    init(entry: TarEntry, layer: Int, content: UnsafeRawBufferPointer, owner: MappedBytes?) {
        (self.entry, self.layer) = (entry, layer)
        (self.content, self.owner) = (content, owner)
    }
}

extension FileTree {
    /// Everything in the tree, by its path.
    package var files: PathTable<ImageFile> {
        var found = PathTable<ImageFile>()
        var pending = [(path: "", inode: 0)]
        while let (folder, index) = pending.popLast() {
            for (name, child) in inodes[index].children {
                let path = folder.isEmpty ? name.text : folder + "/" + name.text
                let inode = inodes[child.inode]
                var entry = inode.entry
                entry.path = path
                found[path] = ImageFile(
                    entry: entry, layer: inode.layer, content: content(of: inode),
                    owner: inode.content.isEmpty ? nil : layers[inode.layer])
                if entry.kind == .directory { pending.append((path, child.inode)) }
            }
        }
        return found
    }
}
