#pragma once
// The blob store in a directory: `blobs/<algorithm>/<first two hex digits>/<hex>` and `uploads/<uuid>`, mode
// 0600/0400, and `quarantine/<algorithm>/<hex>`, made when it is needed. Published files are read-only and
// named by what they contain: `sha256sum` proves them.

#include <memory>
#include <string>

#include "storage/blob_store.hpp"
#include "storage/fs/file_layer.hpp"
#include "storage/store_latch.hpp"

namespace stele::fs {

// Creates `blobs/` and `uploads/` below `root` when they are missing, durably. `latch` and `layer` outlive
// the store.
Result<std::unique_ptr<BlobStore>> open_blob_store(const std::string& root, StoreLatch& latch,
                                                   FileLayer& layer = FileLayer::system());

}  // namespace stele::fs
