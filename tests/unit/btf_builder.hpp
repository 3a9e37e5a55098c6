// SPDX-License-Identifier: GPL-2.0-only
//
// Writes the small BTF that unit tests need, with libbpf's own writer.
#pragma once

#include "host/kernel/kernel_btf.hpp"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <initializer_list>

namespace scxhost {

class BtfBuilder {
public:
    BtfBuilder()
        : btf_(btf__new_empty()) {
        int_ = btf__add_int(btf_, "int", 4, BTF_INT_SIGNED);
        aux_struct_ = btf__add_struct(btf_, "bpf_prog_aux", 0);
        aux_ptr_ = btf__add_ptr(btf_, aux_struct_);
        void_ptr_ = btf__add_ptr(btf_, 0);
        const_int_ptr_ = btf__add_ptr(btf_, btf__add_const(btf_, int_));
    }
    ~BtfBuilder() { btf__free(btf_); }
    BtfBuilder(const BtfBuilder&) = delete;
    BtfBuilder& operator=(const BtfBuilder&) = delete;

    struct Param {
        const char* name;
        int type;
    };

    int func(const char* name, std::initializer_list<Param> params) {
        const int proto = btf__add_func_proto(btf_, int_);
        for (const Param& param : params)
            EXPECT_EQ(btf__add_func_param(btf_, param.name, param.type), 0);
        return btf__add_func(btf_, name, BTF_FUNC_STATIC, proto);
    }
    void kfunc(const char* name, std::initializer_list<Param> params) {
        EXPECT_GT(btf__add_decl_tag(btf_, "bpf_kfunc", func(name, params), -1), 0);
    }

    KernelBtf build() const {
        __u32 size = 0;
        const void* bytes = btf__raw_data(btf_, &size);
        auto built = KernelBtf::from_bytes({static_cast<const std::byte*>(bytes), size});
        EXPECT_TRUE(built);
        return *std::move(built);
    }

    struct btf* btf_;
    int int_, aux_struct_, aux_ptr_, void_ptr_, const_int_ptr_;
};

} // namespace scxhost
