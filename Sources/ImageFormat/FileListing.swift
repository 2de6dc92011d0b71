/// A file, folder or link of an image, as a process inside sees it.
package struct ImageFile {
    package var entry: TarEntry
    /// Place among the layers of the one whose content counts.
    package var layer: Int
    package var content: UnsafeRawBufferPointer
}

extension FileTree {
    /// Everything in the tree, by its path. The bytes live as long as the tree.
    package var files: PathTable<ImageFile> {
        var found = PathTable<ImageFile>()
        var pending = [(path: "", inode: 0)]
        while let (folder, index) = pending.popLast() {
            for (name, child) in inodes[index].children {
                let path = folder.isEmpty ? name.text : folder + "/" + name.text
                let inode = inodes[child.inode]
                var entry = inode.entry
                entry.path = path
                found[path] = ImageFile(entry: entry, layer: inode.layer, content: content(of: inode))
                if entry.kind == .directory { pending.append((path, child.inode)) }
            }
        }
        return found
    }
}
