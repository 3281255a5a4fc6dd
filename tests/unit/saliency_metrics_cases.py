"""Maps with their metrics by the published definitions of the MIT saliency benchmark, run in Octave.

The smallest case is readable. The others are packed: value times a million, four bytes little-endian, sorted by byte
plane, deflated, base 85. AUC-Judd needs no jitter without ties at the fixations; cases with ties leave it out.
"""

import base64
import zlib
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    name: str
    saliency_map: np.ndarray
    density: np.ndarray
    fixations: list[tuple[int, int]]
    expected: dict[str, float]


def millionths(text, shape):
    return np.array(text.split(), dtype=float).reshape(shape) / 1e6


def unpacked(text, shape):
    planes = np.frombuffer(zlib.decompress(base64.b85decode("".join(text.split()))), dtype=np.uint8)
    return np.ascontiguousarray(planes.reshape(4, -1).T).view("<i4").reshape(shape) / 1e6


SMALL_MAP = millionths(
    """
    504151 506343 508215 508504 509932 517183 531477 547282 555389 550176 534729 518342 507859 502274 497346 493199
    507717 510630 513105 512721 511594 515201 526976 543367 554666 552440 537572 520021 509300 506399 506374 506175
    512265 516322 520189 519857 516064 514646 521800 537092 550957 551771 537463 518445 507439 508117 514748 519980
    512633 518103 524500 526585 523115 518810 521118 532354 544506 545025 529976 509229 496862 498399 508208 516446
    504771 512108 522340 529580 530702 528135 528212 534231 540549 536529 518250 494069 476909 472919 478221 484125
    490516 500290 515210 528998 537463 540805 542697 545422 545238 534634 510816 480336 453862 437822 431559 430408
    477456 489801 509079 528539 543841 554022 560195 562725 558627 542725 513125 474979 437483 407944 389093 380330
    473311 487636 509601 531684 549991 563829 573227 577159 572576 555102 522795 479890 435427 398088 372681 360241
    479506 495075 517639 538319 553985 565761 574638 579458 576978 562627 533590 493084 450227 414608 391309 380454
    489932 506685 528816 545208 553637 558355 562999 567412 568471 561268 541755 511452 478497 452153 436654 430422
    497152 515520 537578 549441 549673 545952 545077 548359 553123 554406 547011 530291 510349 495145 487924 486153
    499466 519205 541649 550890 545914 536648 532022 534411 541571 548644 549740 542627 531695 523739 521439 522111
    """,
    (12, 16),
)

SMALL_DENSITY = millionths(
    """
    102582 111422 178698 300854 366589 296305 171774 116681 141779 165493 131513 67458 22207 4687 634 55
    250374 213981 223835 303738 350401 281889 174227 148936 209944 251347 200323 102790 33838 7142 967 84
    512376 404882 308130 288173 280071 215799 145656 161267 255294 310893 248268 127457 42025 8954 1282 159
    761358 622949 441347 299026 202815 129260 93487 133377 229549 282686 226144 116481 39117 9225 2053 729
    856548 768826 588554 364286 180885 80289 59165 111487 205720 255720 205617 108489 41421 15899 8096 4770
    750097 740251 621066 392124 177904 65753 56812 134617 257959 322718 262956 148883 76064 50010 35046 22482
    495686 521473 463176 299945 135538 52826 66754 178825 346542 435570 362653 228378 157508 136880 105512 69832
    232366 252785 230889 151675 69699 34099 69244 198668 386733 488623 418321 297160 259289 260306 212936 148997
    73500 81197 75085 49720 23882 18761 58641 174406 340341 432158 379988 299102 305784 340232 310113 252699
    15254 16964 15770 10535 5777 9433 38309 115644 225949 287934 258240 219676 257485 338965 399176 426756
    2040 2279 2127 1455 1149 3992 18051 54768 107064 136785 124964 117713 177380 327543 544504 722970
    177 198 185 139 250 1458 6830 20756 40585 52033 49322 58486 134799 346113 695860 1000000
    """,
    (12, 16),
)

CASES = [
    Case(
        name="smooth 12x16",
        saliency_map=SMALL_MAP,
        density=SMALL_DENSITY,
        fixations=[(1, 4), (2, 9), (3, 0), (5, 1), (5, 2), (6, 9), (8, 9), (8, 13), (11, 15)],
        expected={
            "nss": 0.002879347868,
            "cc": -0.087650063334,
            "sim": 0.598808877245,
            "kl_divergence": 0.458087189884,
            "auc_judd": 0.558287795993,
        },
    ),
    Case(
        name="smooth 24x32",
        saliency_map=unpacked(
            """
        c-k}MNdDw6sh!ludBLWBcT~q8&94m;jng;qxor)4U@!Q+V_kH3(|pO@UDAb_M)$2xG92%BnCkwd*YtDF|DV@we}37meCq?p%FvSLFWsEh-z@Jh
        GyZhjgX_?;mP74dl;+5&#I@bme6>sCA$LpgRvn*I%X{0uc*RVe6&OCHOKnrjyN8|0FM1hM^yc3>zF<Ae!SW^5ZHeDhYo#A`w2G%2WH23kI;k}F
        =M=dNchi*rrKKlktH`?Meyx2xRl;ve!HOA7tHPB0{SwV;_uVdE5NlI$K6jarr^A<Y?f4QgE~bJr%l1rlDT;C2yV-54$o-v1UHk+!I9oQ(*miG0
        qNC<Pmbq(wy63;G)n9pSckG@&kFvHjY>B?{N8RLxVr9MXp-J&CQ$tU$VtaEUS7_Gr%q81Dr=8wbaB{8s%wYS=TmHYvJ$`BF#`0?Bj5m9a*Z+9f
        -sg7r+=(S;Hc!2{E$>4z+c%qdiJbxS0(<W&?b|tRezS0G?=A1t4UgGpwkg>vm>NoYY_$?B=jPX}e4TMoaNkkBEn8>o&YT{$D#$MES<x*<?r6c?
        4|#$=P1vGn*f!}+*3*UO#0x$>(OUAVW3pMnhea-YPU4A9vp+Geb#OFksx{40&AVp*&S`#-=;Pe~ZJqLeV$b$2$zn>m|Dk)ggWC66_l0#Y9rzZp
        =EUzwtT<va{jvS~7uODR9;!2vood#spU&fRd(JD%mwZol+`a#P8P9!_ycJRZCkY2>EYNe0j@`l_zRI${>UfbsiT8i^Fpi@ZKNvIJBm{#S@6WjZ
        &_QQ?pU(lFO*VER`{sQ0YY<-$CHz>~?T8Y0viTMl_8Xasf!|hH1Z#Niw_wiyciYJFnny{>s#}K-bqY-|*tS<NmVbeU*wXaND_pBPMAz9KDl}b?
        #}&7i^JUB?75gtb)s|n|1*#He?JPOSF*i#ndgmLhrQg2kN0xScPP4mJW%m4;GEd;k@4uEBUQF=QzY)?KD5IZVrY8UBG5_}o@8(Z>P+0csR-b&p
        L1hC&kyppW+s^&1C_U|^vYJ^=$0dE*@h|dDp6c(mw8VP_l&pBFS-5O<;WxLoucy8nh{zhp%)GA{k{hFRb7q=@o^$O9E}P`CG|l}+vkj!Y8-#=u
        {pS7)>z@?)YhJ9exTwQyCXa+LGv-63vZv;*e<iCeBkeMqJ!58_+yZO%U;m{NF1q)02mN1@Wi832n7H9dsIjDe^+WSe#Z{`OH=q0OI8Ur?-%{@@
        x%$#dZWDjU&nmKF_^wg5<7k)c#<JR7!j&(hHlCfUyWEDGM?3REz#--|*`qU8-r*8>x*#K>@|ekH{RxM67XGY|{>5orelPkokICaIGd=&3rt<X6
        hIKzP-llKb*Kc|xQj|^Bt^U06gp)s3JN<ksV4qk%dCx1!h;3TEyOt)fu81`=_DJj4_Q@dXLZ8WxANrNsp9;H|%{wQWws2L0)rSo&d0B;3%@dX#
        xqWPEfSP5;d)K;Ur{D4zCG{`pid6Y=b;tb9imceM@WiY;yE=2bU&QWt&n%#16;(5_BgI-tl;zQ;#&9z^K|yI1(SJ7&-!q)^mXDj2PsJ%VJ<>)~
        *HZiI$`pN$*Y{uk7c5P%RnbpfedpP=Qx{)xD5%Sc$k|1>{F)!B$M^B^2SJ^e7gn@Yw$56<cxvyo4d<V|fA>Q=uqc#qSy5uBt+r86euxRvrL_|(
        ^Kx@@i`$nUxqAPbW?D-k@4oq~wr^OpWbd`LEiNp_yCS`!@{98;rXP6lL(ILrHJb1Ip$E*uLSh=0jOS|A&ewUk<xZT|-nQ%(kAZJSS*pQ@V<$f-
        *t&c81bXtWwz*L19?`#Z&#L7om>hEIN`oYBteCU)nV5m09P8Iuxvkd6^E{Jg?mxI?+cm+EmaZ7Kr7<q?vu?5Sf8F00F8{1mY)!1KPhn?wOUKf?
        YVq-6bCm8p(wX#Jkn?h_^7BO{nwJ}$<fW9<l_VwgQnvkN-J-L;a*50uDNplH{rX>I{v7WPR{r<w+Of^^C(pa2+cG=ka+2#L{d-BXI~^ZSOgXus
        GuDLf)yY*oc>z|odFKp*B^EiDPIF_OcKt-N-kY=R5WoQh?CeM!Adiiem6Z)e1c?KZ2LVj&FllyFX^05ARR}#W^=MXsbV1lq<B;V!I5=VAY;367
        *<kW)$N<wPKtZ4{VX_Fv!xX^fQT+x72(2(#Z1PBw=qj*Db0Ev01{110I~IWM0}ev+99ZmtGdNM@k?e=cb0W(lI}gIbCXW=i>{!f)rxTDLG2G7q
        ^*A(|Ign!k5+I0(Mvo<k0x$)03BxED1tS;$085<oIs
            """,
            (24, 32),
        ),
        density=unpacked(
            """
        c-rk!iC0s17S3C;qK_pIB1=dJLH2_n3ROBRA)=tw7G%>B;GnYTh@upl83kkyn}D)PSpzl7Q4m?Qt*j!;jG#rVAdCbGLPWs5;Jg>Ww%E=;Fumt(
        zxUncyZ5_t4P?LQz{n|k+ms3qT~8hUOO~Zmz}c#!CcJB=HH-9bU!MfLI$l2?P8Q#^9KWM9dzv*b{UxQkd6eCfuOrV0DKS%x347^oE?y^f{=W8c
        =k!)3FPE=uEUokF78+Dc{bFMNhIb71`(<GbqtJr?@GO2|!<|su(}yDIM{&dl$#D?rli|P_pEKm+wo_Z??c`F}G-?noI{!TnP+^|c8Z7@Y@9{0)
        dgrS?$sHB({adJMDz-qr^07Lftvvl8I#@rx|N0RiHng!|SB_Wlq`)d=1k!ro6sX-vb0@r)zA6&*cL<g2^wZ6EtT(x<kZkoXDsfY0oq?|8RZdlb
        jlpU1xi%wvxdSdqlUnn*@0>iMB`R?_WrvkMH>Qmp9GU2Ix<+KrOq>@;dy}l_S!!!f7dBW7pMY!U{5y+D8=W{kA)+5{7>;<^9IF4k73WQD348C_
        a-^Z_xSstQ>#8#h6X6NJwYR#SLN*t6SL$5YV)amqp<KAoY{wgRGm(pPjPBxJZXE%JHq=Lj-b}2$;Q79FQ=PPe@A@b_GQU7D8LYjo-pR8+M$<cN
        ==<Xel`W;4KfS!jA8XEz4=?`0;!Q_yInZ4rw2XSn#IfCKBngG|QJaCBIX#UhB^p@;#@z-%QzP^r63mTySPBpR`Q=@!!!#mmN@8ZnZ#jeOI!RPs
        +<R&CKVr43)@r^dwkSt9Plwdy^*XhMm0E=Ix)$V_G2-2cJD)xY@VRJo%PGLp)|sY~=BD58bKb_`%cSW#2B##z)oXs}s5C8p+WB?l8^OD0d-Q$X
        l9SWL-e&s?uI1d+6|l1f)KSkjq-oDP`&n(7_?cn8S1UOcP88nH$(Zb!>5&BgxJypAoEg0@b1bk7H`$^4=y`Sj-)}Rf8_xOGR@eGwR9-7LEt;q=
        pA8MRoEp4{8{+j{GJ~`iZ>t*!hynxk+l$%+#NdmA|L(r(yf^wS_xdYS9WD;fsj+I*rfWA^)o}1Q%o_N^?1&@!^kmc7^ncLw{JDu;r{J=Vj{AF!
        YO;FFcvb^5KPi@;>UtY)NC7>B-Hy3sjrA=1ke~01DPG?hn~zG5UD>^>X+GOGfkQ&_A<4j=B6d)8g|YEmm^eX8Gxl+rUU&rOT%MJSzb2y9#TaCc
        hz^I3XBcz8?d2*ed%J{v6ZzBZPFMDhdx7a=^&N{%+c`9~O@T$#aa>h7y@H#iW9`qYem+|wxtyY)-APJM<jCP+GF3}Q10hnqU2TLf4b=~v`dY}V
        y2YxcipTxT7z!i;fj}e@NZMtl@7oJX>-c4k4r&|rTtS@FZeP9>zh}dGO)6D`&D_{@%=PhB^45EW@6MC=*|F+alco2-Ql#}tyoY;SNi4s-uP^9i
        <vvTBcTmT6Yen7h1hx37?QV!%0fOYtq&!S~)_W>s9aSYCXJIs9n>+L9;9$Vaj)?LJHi9tP;q)B8%;tuoa&eqTRIp~Dv-69jb%{V_ghSs%db*^p
        bxyodM~}l~uV>M94?puW_i>xZ@1rZY^X@YdM5|L#RA#9{A&``qx(pRHQ(oUt?PT^hH@cO}U*#dl1;W2}O41xu$u#?@k~7;hku?Js&6;*NxF3oX
        RVR6RWsU9Zfz!IU8r)9dT<(~^p~_daxx>ebp00gS6KJlgYFR2$Y=?!hn`4E<0Up9B-rtt4`Q&w91HG|#$Wf83E1GSsZkCF;qM5rdQX(>LP$N7I
        `me`*M))j76stkhh!R505Eh@N<&c`X{Szfl$Jb4?14Xe#{t6;={p>oEq)DAzjcxa;vjnMc=Q2JuHc6_8S&CPOVVYf3ag@C(vfjUi%WxWE%ae!-
        4g)>)s`WhsTm%GQL|t1Qp=j*AB!xEDyv;*!08HDKErBK3+h{PlyZ{74Fx3N5$kBHhtWEGhf5Gxh)6J$#c^J2Bc>Pwl)T^2P!_L}N><q$05)lSh
        U>wPs6VZ0EU7&Bb29l*DpfF6N$dU1&>`bIk2oSL14uCKoh9EqeM26!)0+~X>Lm=h>03dpS*aP#D1pzRLLLn3J*a?In2mqGzfXg2cnt+0)05Kf?
        wbDvKtQMJ!;%HVZ{v#OObadBIQZQD3Rk*BO0s&=%_Jk7r2*)}>VGzVq<YoM^`*->AFpSayVTwFfA2V5tz)~`-U)d2NP*DD89rTv@tRjnwwG@vr
        g)w|}vrD7Ho_`dN8niOAB?DJ?L->uZxMe+70%Te*N%pIl%O$Wk<|&Iur@S&nV3{HyBaF6)0@%Ru5U?s9hGibIffI-ycmN;NmStEG4F9ppvX)mq
        KT;9*Vcfst|J%9Y{@k!-1pgeyR-OR;uLOVDU-tiC{{@qJs)h
            """,
            (24, 32),
        ),
        fixations=[
            (0, 6),
            (0, 11),
            (0, 22),
            (1, 13),
            (2, 23),
            (3, 24),
            (3, 26),
            (4, 2),
            (4, 27),
            (6, 22),
            (7, 21),
            (7, 25),
            (7, 31),
            (8, 31),
            (10, 2),
            (10, 6),
            (11, 10),
            (11, 15),
            (15, 0),
            (16, 18),
            (16, 26),
            (18, 6),
            (18, 8),
            (18, 29),
            (23, 25),
        ],
        expected={
            "nss": 0.263274298235,
            "cc": 0.152087065498,
            "sim": 0.557770355004,
            "kl_divergence": 0.589537127529,
            "auc_judd": 0.59399730821,
        },
    ),
    Case(
        name="sparse 24x32",
        saliency_map=unpacked(
            """
        c-muNU^vY{CBQ*YMIi%27ing0TnHkkkf7rd1H&&Ey91ko8AKc9#lY~Kf#Elpos3O^J_+u6N~Ah_e3E)7JU)VkX@W^17`F)_<BeUzR0eLsPOK%~
        *DVZB5F8N<>2M5@iBMVvE!||}w`VhnX>~4x4UGAgTIqieK^5f;3}vL5ncoW{Z;_ybm4U$$#x}#IU_J?f#4sD^1l-B@3kmK@B2wLKe3DKmJVSzp
        g@MUOFzzXYj6Ze_CqbSj1Okco^&^I@_|m^7hKL`Oo`fuD%D^xkzdb!9rqweHKZq~3i3E%URj`n5CJS)|9SY#VTR?IVZ4M^`0~-Sa6O2txjYmr8
        Kmad3Nz}rboyY*^z!LsA^l~vU6Lumu@xEpUl}ETko*8E_v7uSWN8OagjqI*bFbYN}0054~Cmj
            """,
            (24, 32),
        ),
        density=unpacked(
            """
        c-njPV^i(iqBZmFpBZL8oXqc?@K$2)?%BKdO1w?*W&na$NBjcr1su~U->I)$F7FcT-1E?D|I!PgS4)h8R6-~2nl$fAS)4%$cZ6xoTE+9W8_K-q
        oZGNvVvSekqf1A%q-0%t=EZ+>FBg8LmDazf=}^p4X7N|kaw~Uk4Z8Vvt?Gp+e!pNIkFKk&)t?vFteh%&Yt2&uet})}Wlt|XDe$Ob?Y94UX~)@p
        Y%%wno!0#Qef3qnzDPK0EBngEpOR;`oSl*Mn$J~IDp)SpS2o-0uX^^!j<7GCM?V`FTw=|4ynMy=+;7c^VV7nK1kd=nY<tE$-WQc;ZJs$QwBKEk
        CjaSu_zDNEKC@ucWVu?;lMZ46b6R+wr>}Gg@mqT5a~H#!Kd-hqoIc0rYkctc>#hg}rv0lf#hqIs*=F`<=94n9L$Mu3Y3JC^pE`3_Hr<<b0;|cp
        lJjysqKS$b3Fa>xPFM2@EIXW(WYWM8ujF#@s@sD0uO`|%+J8?L+fb$%-?Qf6vgN;QyS+U;FY(KsnDNDby8Z9TKIShDEX_K8@bry)-V1Cu{1b>`
        ;7GVQ@uo#j<r+iDmA-d1qqJt;+}@R>+0PO9);HZpmO)arT*d2h?aU7^)Nk*Sdv6<m#JWP_tc|P9dF5GEt9NmE=j?C|^!};9d_eWLCtE^mseJND
        0|Aaw0j(sqNlIL$X>9od(LokYb2VQntS|6Z;$jh<cCxg3+09wZ@&1~n@q16NDQ^qWlt1#lAlVF*A{dxO64d?UnP=TxR@)i>bLu)hS&n_`&TCI|
        %9t^M6)<rqO=3&Z5-1fc{MjxTb8daovfEAeqP;;)91IX3sah(qnTuWJM(b3zJ1i&HdMtUxF7WM9v=mg{$ht~E<<Vu4xbE4zeUz@oUu)X`<AdP;
        USp`d-RWglbk5)8{a&S=c)vob^xmmgjdw-9#JEA_js5vA)@!Q8oO|##k8e`olP%j_q&XrVHF`tkm0E2b4hvP8c-A>Aw&`))lAc|aXe`JK@|;9j
        +OCXUX=M`3V3nzVUuOI<yvgUl)@RHE^d7T#UO=B=UqGHXM1E30joyKqGqsmG2ehfNGcqs>2Y<gG_TWdb5EBC<3p?k%w%KV8Q)~Rhk5+1?NU$(-
        O4@e+GGm-*EzHWot6=7~O6tb!M{^q0gjHW_-mvE5(+J3~Y?--yR=%~Qr0XKl<VR8|4^moFrbXW4Q;Nz|(5-%_^Ka{6z52kDvEk2UXD_VlPS1bf
        6JWBy<6YpCSw5LRE;>JOO^q`AcJIk)=8X(4M|NfDrr+WIX0&t3%9-5PZpH>&3!invc~Q&XDjUXMkDapO)IPEXOgLt`YOax(m;ScCe?E@_=JQS7
        <h;_46)0a;7~|$sv^UuB@WOgyUFpYLylsAM{ln$bKQr<h?`8%UNpT@w0gVdV@W1B{U(ygO+jyih%&pbMdLA?H)UWch7cw(5F|mjQf4UN`uf-`Z
        xYs#PT}&=b&0v#?bbj~}(PU5<vItuA{j*Y#>5~;pUu49?CYEXx{4B^YLrKXT6roJKTG5?zda@ImH?1!-6<}r(@OyW``NBItAvShS1_nkBjjHzs
        fBURuWK>lpxS2r$m2WlPR%&oCf>Wb_-`jJJ7d`|Cv$C=>GlC7&@Jsa5;04DZBdd6dmh)w2%_I?KXzBnaU;z;UPF7|nV0>~2sV4q=6!GwTpdb@W
        o`I2xnUxc$hJ%@3!#}t6eDM6hO}2apd0;w$*uig5{oYK^deNulpW`H05YkXLRvE;7xSSlGDZAPF>v>BqMz}o4(Ptgby^kx?4U`YRugYv^o0Kk$
        uz*P<QPb&?vvyh1@1OVAiacLm@oQ(ZBr`%@FyQOG(0kt#9abc{&pZA+b{EgVHYtQWBe&^7>rU&%4nQU&BLfNmdX9+^nF~~atO!*e%wuF?LJ>mI
        4oU*dEGT-A)dJ<2nOT5Q!^D6A7(u$3S%3f*cR(=)xSK)7GQ$+GK;%Krg}RW5g@cO;446U2fc(J#b}1uJ2Z&_j=4XU>juD~`td|ii&kT`AI1}Uv
        kS=fv0+|LjA4MMFMo4%7bs+f@q90ivB_P0#U}Qj%#|aqGq%jmT;#H1e8j03n#uFo6N$m27umHvmBMwW!DS(xY6+;0$41wX!#?FRm0MyYSd3Fvq
        7DkdBJqkv_NB{s`#YTz
            """,
            (24, 32),
        ),
        fixations=[
            (1, 21),
            (2, 3),
            (3, 8),
            (5, 4),
            (5, 9),
            (6, 1),
            (6, 6),
            (6, 10),
            (7, 18),
            (7, 23),
            (7, 30),
            (7, 31),
            (8, 24),
            (8, 30),
            (8, 31),
            (10, 9),
            (10, 13),
            (10, 14),
            (12, 24),
            (16, 7),
            (21, 3),
            (21, 7),
            (21, 28),
            (22, 8),
            (23, 6),
        ],
        expected={"nss": -0.097773591364, "cc": 0.089904816371, "sim": 0.064017196924, "kl_divergence": 28.02542359646},
    ),
    Case(
        name="ties 24x32",
        saliency_map=unpacked(
            """
        c-rle%?Sk|420iB#4ao^tyqR#Sc>KBLPY$Djwqhq&Lxm<LI#G2$Yv4C)*IUz0Jj%74;pY@_vuS6o(tT{TnJnH>|6vKn>>QIkVk+c!13T5eedG0
        r5)Ck;+8eLS3b+Je7*6l0dRkT^Kb*s>pp$S#dCpsnG0cSpP$PC$0iTpE#v{<0B|@sN8h{nYiWlyrMP9y=9SJeEM0GOYXDqd;5^KL^SV!8a`9Z?
        TINF7+Nb9-z_G~{cni4#SOKgK&e8WS{#x2$O(||!^Y7EAKh^^}Wrt4
            """,
            (24, 32),
        ),
        density=unpacked(
            """
        c-rk$_gfPO7`~ai%OKW5>L7}tpddnmB!mzkL~tNhoIEO6wb8^xQK+cQqM)L+Xq+uVL{Sqbjygz1oBG%mBw`pUqPV5SqDWOV0ozL$GHm|>zu)fO
        _gnAx-U-vc&lM#6vPR7G!$AN5z+bQADr>imagX*6)P{~edv`IlB)YotbR#!|kCHG}&ylG9ZqU0$a82S;U)l7ty#2ACXyv~%xNlhifbt2~d)#Kn
        !*6fe50W^V>=@}q$O3l#B};78ODO=b-o_D$4@*La%@~0<m7Qm9o|ts(x#FgspL^oBHw<Zc1_8Jv#tpTP$#y9A-R_+FF8+yYd?5PrRAzpJ+cpC?
        _)NwFbx`JYR+ZhHO5>|Vn$2ahOJ0FD&5UETrkOd>2lkgPG@a%UYh{5&6BwVIaA@(<=iE=v^Kn&Dh`Knne%>@qYdm*o$@L#x>R&w6CVnRow}i&z
        EMEjsH5GzkSI3nOoCnbL*HTrRa|0XXbsJvWmum_f;ae}9v?536++7@G8s~ED^{C*-VV;#CY)>c8<E#PWLKjih2^SWwG}O4RIoJ633v7Y8@Lt%1
        vD+@*c(`d0Zak;9WX&0K;@p(qiq;gYUwP4M<BTDZH9t`|&YeChJ1~H~we|68HO)c|-suq-$9Q^vSL=a4qe`QKvhoLysHpo|s>`M9tx4UgGdl7F
        P0?fDQa)8UnM|*U`2HdnB%G&YCjD$WJ_Ob0JFY0IyIOM6k5Vya)zYarOrA8&K=D^=z`8JxoEM>!oA$fAyE(@u)E0=Q+!Dr+cpmqBMgG{OT=QR3
        ^*iiSpNsT`{Hk@l?e7*tg9h00X-oQ?%{tsiJkcq+PSoHzN^E{<;G2&g6@8UY;?kERW(TH&g-1VEiXPY>iOUvIS<<w;%#=}0XI=o-o3FDhZ=Th(
        tzhHQ$R~s|-%J{Xv=TZX(%=NNdFF9w;?4=juIhIdom5g=q(IjIu`1t$iH!}JH^#e9tw=sddz}GvC#<JW3W~d6seJUbk~8*TxZCOOI1t%@rmFbk
        7yhw@2JWbjI%9Ybxd=mi2Qvu@40gQ1B|Ht?NY{9WiL|kwA87TlY@HG?+yUz#5JAq$-NCzLL#C}epk3?{jzkbs`WfXMtPO@3!IopK1FMs7%>#Xy
        Nw=flq}<*iUL=w`KsFq6N#O}cs=f<fm#pACbW9(8B>jH8_v!h??x+=pS&HDbGEZM&-WIU2dD)(OMrZAli-&4kEqokCF$zAscz(f?@*F}JmYRUp
        ++lhptk^f*?bQ5Y4?4@8Kb$RYZ843$L3lumPnf;43uSt}mbgDI#$Um9k(azHTQ<33zRq+g1{r}@g+B{XtEB7e?>I}!6)tRrzp8ImoOWx-f_JKE
        =k3)OZk<SC%+%D4i*l9oSagpPRf#ZmPWF$R%HgLbP>C3aW`0u}@@SP#m*GSpgy5gP!W5r3bC+j~ny_V3+~88$Mn%pu{WGKY26qC%n1br<%lHvK
        v75>TzGd=5Hx1gP*ZPIgin$UtmH3P|K~=bCIUq<8_WdV7+|qI_q}uznf|W?OW8etx9P?C`y&(l$z0!}Ig3B$I=}gD-%$y2)kPMimjJP5wmNY-8
        -shn5m-p)@7s*<b%2}hB306(f;bmE|{0QIVGXZ9#M9#r+j=b1XnzmcFdyefSe28b1YDZUy2h6oy8pIr|QgXlLU2f0cyfQ3NnX9|&*O#z41wt_t
        A=r{HZ6{}`A{#X7kvYb*lf77-Mgc$=r?=lcV{&fug4jM&`x_M<MrosTdZqyImYx%NEeTMtAfRX9LYSyaJDPmWzdG@n2igm#c$kuEq>Xo!$~+lc
        jQ7G}_WHd7;q0L8^?fv4NpHNz_XJ}&W?K`4I!5e{Q*he{1Hvc-BQON^;6MlkfoyfC2w4h&NlMpzsO<%a;0%n$pkWjny%%iF$LUNuj$tU&wK|HB
        I7vegl*+K{nQy%f41y#Lg(13~9hK6(e_K8|yOqXZ+7U=QN>;S>g&<pb8;we%VjcemaxJt?7VB`3jg6vc=dXj51#f?{mV&_cct03U;BA|9&d^g=
        QrP!9ko&&}$$((AebcslQol~k5X4##YTwkhLzn#a)?oK*cJ?PblZ$rw33fK^J^F_&V^bUaA5VSIC|x~+lH&F-O7~GQ3W|0+bWhKrD27wu|13bd
        rNh@B<70dbYy1oPe?Q{
            """,
            (24, 32),
        ),
        fixations=[
            (1, 23),
            (3, 31),
            (4, 2),
            (5, 2),
            (5, 6),
            (6, 21),
            (7, 28),
            (8, 1),
            (8, 2),
            (10, 14),
            (12, 16),
            (12, 25),
            (13, 31),
            (16, 9),
            (16, 11),
            (21, 11),
            (22, 15),
        ],
        expected={"nss": 0.079302685683, "cc": 0.099924166061, "sim": 0.464972251436, "kl_divergence": 0.798961196803},
    ),
    Case(
        name="centre 18x32",
        saliency_map=unpacked(
            """
        c-re?+Hih`{-Rq`;%3z99V_lx*i(E=uXaY<lv|7RXPn=_)M0MP#@aA}BmIix4mPh3>o=|c;KjB>@=7|#ga%eNOY_&)Uw+-XhOI;(M0&S*{h@95
        w;ifC-z^;?P{Oum>(`gp&s4J>`;-)$@TqUbZHtX_%{k2HZnU_)qVH2eY|^J=tkpTqqNck(x_#WZrabaE=l{o_AOGh(9$CI-BT#IYsc7>Q%}EFR
        1QtG9-+ttY<+Ww?0`<$TSw1<^zW&)l0lx#2G(7~}k9;(b{dj!mp6HosXKzQ`KC3n}de6?|A7jlw9&r~G+xI2S)OTUQs>S+-n<8Y{m$J)7Y%<he
        ysBWKuW8zseM;i>GdaXAI_;`^^lo~h|HZ6}{)yAyJ*wN~bWx0BX1(~r$xKOY*Yce*kE=d1x+;0w;kM*eqerU8GoA9UwIwl4CZwN`{e;|4$p3`G
        k5Kp%ia$c}&(6&+Dywc}?-!R>*E@6Z%GE0u&+M(si}SNLQkNCw=jIcY)3WqVte(F0>SqBBD>pAUD-D6qSGP{DPV~0ak`t9wHT6nuTX&n!rDoGp
        0Yf)mH$#D^n`&J6Zm(-g^)gk}vWu)<eosDYuXyoU#f<rf&K;Vcp?J1fd~cTgz2()Bc8>8Kdl`baYpyif?|H(kbKix1on|LI_ZzL$+#bxZw<A8L
        {Q!6N!(9F&ZN36W<F6@ND_)B~D&X68gg^ITHur({%8h^GZkOpXy?^`Z)4i20%T6qFS$Xf%r?>B!^vZ6>{n<GAn&C>vKezAxG00tfaC^yX;nyYG
        4=&C%_;dI6AIFu3*Oq<^zuOTNQno{=^rEo(?}l{^ztx2=mJ01C3yJEu8~$<iuhb6<s~gt-Nxo{=yShWjNvLCWuie$;KWiJR7k)_nMMys(`w6+9
        kpBsVAEEFk6n})`pMeCx2m`p}m>>XC4MdI^1|VusWto{-SXd!|g$1Mpt^y<tlx1aOV`t~!;9zHGV`BxWfGGe;1NE}8b8vEj04E1K8^{bMh&<SE
        7FLifHxCal4-Yp;1<(X0hyt*7RyLqC4=*ntA0IC-4^RQf3N(3c9$r3vette)9&W7ixb@?;pOE_r`kzqv5e$FA@kcoRN5Lo{2LJ#ZqeNK
            """,
            (18, 32),
        ),
        density=unpacked(
            """
        c-muNVE9+q-MRDD6mKtA!%54$e_9D>$XK#B$pyOcXg!l<U|?9i`DyQ^n<*2X74GeM7-_rtXG?QH>^1vl2Y=>T6`;It<%%9lwaiU>i#$4Y6#A6!
        <;%FJJhoc7B&^PCCs1CTdsFHD%@sd*&3{fXxz_Qa#VsKE+IsFArUG6(u|RoN%bA7IHi!FWa!ycQ_F>V7_kCX@tRI||KVGYS<URufBfBYo&)Y};
        cQ`QAxu`MjRPAWX&W@dtw|0%eNzXb41{VE@_=HO-ss`&tI~wEro%+}EwJEzQre0OaW7_bTfkF6Av{a#Vp7fgSEBtPAuj4*Zm{2)4K}>PyCVu9(
        %NQ7}=K2<%;NB!By5CgenSPN>k<`@6#ENgvy%m)@K0IV(X$jz5S;OzUZcTz$dvuB7Jiq7@u5)DgAG+Gl=)E+bT`%)H=ZO>7_Dy9|@N-~!^d@5I
        -93q)^VV^9aj(n!{K6>wOo{>Dw(kesZb~eRE??B5StD5{K0})O91u#+Xn!9a!k2kpR#KAn@GB4dubi{KPt>ymy9ne`-|N?XTbHDsc>Aj>u_8dw
        Tyll8%Z0mYP#+aaMZfQuV_ZD_vy{2NYoDrH^zQ!f6`YIh^}?flXMCRF8y#-+UePNs;GjXpw$(=R@@t%@e(6ncEo0NWGgmBHZ0;RB_FeDGBC-T;
        =g2=bG}Q5kEt##|VZMNoMcAsax6n$Mh4C0DZe?s;US5#tHSVeKYnkz9^J)fEz#TH-fa3&TQAP3SS2x?PKJ`0waZd2$!dul6+e$(5>=wL6RwtaY
        Wr||e%Dbc4T&%rv#f&VR>g9a5faIAaD+|vzUF!b1($G(R%95QoE0+BeRNK5|20IfcNS={hCGR@#jmnsd?~UgF5-fOAVqLpLGXKM}nNn&D5Cvk|
        rrI(lCp|(!J^fw;Nb_sYKd^qi(G0iy5P4>HZf*`P!-p%ii!@g~HQ{9D)}L8WcHdl~04&WWtg5dj!mYkZR!&7uc9R+_6Njw#)W<*f#DUT`1Djm*
        rhA*B6(nOsWf#keMhi2u$;Iycbfeovk^?BsBpeMA7mJZn1gn!{V+M&VQ<6y#Wd@~hHL$tz+jRxR)bv$_*%(<>H_6I^Y*J+f+RkC}WQAI;)^?US
        U2$%9Rwkf@diNHqWUDN`r^g0#oP_s7Cqo0<id42eNy?l|AQQp*Wx@K{<l>H6o~XWBuUmJ@)umC5gAwi`pi7y6Oflty6=&ir8l&1S{z++6W<&T$
        jty*-yq1xtfX?~$RySV;_aqS}NQmfxT*|<ve}9=~k<JG0*S<GG6AQkE?p0?6g$WZY8!Ol;YC8;^gPo1fb_L6?{E=iN^xu>nIc-4V_Iy#J>*}Wt
        LT2$+d=~5s7=V$5lbe&3nU#~9i<66+lZ6o|z{khM$_SHZW@Be#W@2XJU}t0JU}FZ$^K-K?!3|(yW?}>?V_{)t2C*1`G0w})&di9g0%8s`6BC5R
        !p_Obh9nOLOf0M{OfV~1*;ts++zInF#7d}9*!5!t*z{l*M-{;|7gYr8E=F7~g{o#`#HF7RWE&HTjY#%`nLs6AGq5-wYB&=sJ3A{g76nkpF|n|7
        uwx4ys8fIe4vJcAfdh_FP?T}7VY6Tqi~@2207;FIDg
            """,
            (18, 32),
        ),
        fixations=[
            (0, 9),
            (0, 15),
            (0, 19),
            (1, 26),
            (1, 27),
            (3, 28),
            (5, 16),
            (10, 8),
            (10, 26),
            (14, 12),
            (15, 5),
            (16, 14),
        ],
        expected={
            "nss": -0.314461461751,
            "cc": -0.181097803085,
            "sim": 0.339892847164,
            "kl_divergence": 1.847847961523,
        },
    ),
    Case(
        name="uint8 18x32",
        saliency_map=unpacked(
            """
        c-m!AVT9vo7*5@$lWFO2bL2-@Wvxo>9v8MN%BnTd{@BuUHCp#$NA+}VxOG}RmfGl#kUzH)ddAiMC}Hf{5PEXA%t_3gQ$pD4aZ18i@}o9->@F?&
        ao_hfGdt^|Nx$!X-uHQ*_jwBi0TV0?vn&jJg#!2#1giiZ3lp#cxL^ek5HRqA7Z8FM%PPPsK`0bJEhqq$0(=3B0Pg@oVZaVv2*Of;f=omLVvraV
        gH{#{LL4N5RKSGtL7D{xSRey2LJUK6;DwR}C=80mFeDU&F$=W-GEgm=2g-tnXp{n+6n238PzkJtvj9n;0;XX|1h#1gWI`$MUnroT1tkbj7_5Lc
        S&$2PXF-eL?9fKcLiGab2yL@A|41zw5@cCus0|mSg@T|v1>~lMAT%kq*_0410{UX1Euq{3Ohw+q5z$mgegTb#npns?v<)-|3|UYQS`JhMXGB{>
        =D-QyA?k~vY}gsC5Rf(+TKVml`^@YFck|^*$0gIe=2j||;z?>q^K?UHp1ydyYoupNn(3K&hNqVX<GZt><T80ft2dbP^*4!*#`~(uuO{Ufqpi#p
        PfE&ilIUp?sZHkly`^F1>3TZ9yDw@Dn(5Fpys{KU!w+q>_cXCG#Qib@@TUpGRg|IHPy{^P>CmozN1=PMUTk-?Zw%d~p$$_~s_tv);>paXUFEyQ
        D}`U>_xA6<X6h9sRXoA%y4KrcNNMKt!_>92MNwU9Osu>|SA<(PzJDc=ey?0M>XJe;fd7V`;+JVsWwc@O*3q>acs;Fl#0jGaQp3pSCA{bwhMTI8
        Gh6ske<##wwVpO&otc0SJ2BC%*Xdr5t}8Zva#Bpy)n&)8q<qu#E7GjN^R(aa4RfWXQ^Fm|T_v6-OkT0w)g<4jNRou-JAQ*-nR$&Y7H6HqAI5LW
        Mx*XBdojKu+zDUZf4%bQPH)8z71B5F-+ugHH^!(9EuZH}+pf%RU!O2M)8U5|((lA}AH0|+dW@R(!RFjFZI}-ZV;aveYD%zG#@GY?11&Q}N#VG{
        @68{;U8<|tGIc8?ecqT%44;&QP(S<TpLcHJ#c`#QN~L4FG4h>mr&S<pIkfM*I~x2E{5nYOy)Ec^I6eAphpNsOa&0=!%FR&_%DG%_J<s&Lz|&3Y
        ?C=O<M^$b_wYoJb@RBU$$kjC=Q#Ceh>(un|!_#aSIHnnt##50BOWjh?B)H`Gv=tJ~aC~#8m1Mg$uRW?^J8GzVRMx95a!FNXotLE9Iy)_~>duq`
        _}M8db6nrlIeRh6W<B}fnDbg<OT@n2Vf%8D4f`1)({{qqdR}!rnfroy#s#I?VCUYyR6ECI*7F6~4qF4NNmQMnpTR#cYcm;A;&kBU>?e1>envE%
        )^y6Y3C^Pc|J{R3kQ_BlD(tVHT*L1!+9NZojw#M2bhcI_7HgSh<xH+wCGDRM9@%ZrY>!wmTeTPctf<QEw%2NTZH`>b=j%+{OlF;2#_4vQ98uMS
        z;kqm?Uuq(#y%$G(&^c0H{eLQG_L76f*=;PtfL2|ZY^xC*VXLRzy5wWW%ag94a6X4AHRHd@86Q+Wm~17&o!Oyz4xC<m`Is=SgQq1lFU`#KOR#7
        l@0p2rjr#h>G0-hi!w(J*ql7_*sgR{3<HWXGd5{b>;U)=v{X4RvsiG!;HCt3X_mxf=E=*Z6R_hk>of`b<-vzvet#sN9)6z7WilfX6Pu3?$dL(T
        CHv&@qifG&KmYkWGdTKcYio<x-rgp*;_)po53zOrfcxelHaI$=giTib`~dOux=ltzb54iwD0jmI&r!R0R77k?)WpaBC@o6ZX!yUrc$9Fi0o}JQ
        (cq9MB96x|;El5L`it`=JQ^_45phRdFMw#!bM)eJN$7=P@e2n(3XDe<ZYG6OZeNbX<J%t{NA@Ky5;olEdJaeR#HG#`wtZ?-B<E7M%f^7dIF3U-
        iKy=<ID)TS!6E)12Ph6o
            """,
            (18, 32),
        ),
        density=unpacked(
            """
        c-o68TJE>JC?*C-Ez44{<zQq$1&+B^rB=C)Aj;Hi$y^IoH2LfQoGYCFUBAv8wQtM(-LDj6&<xPlzTa?PTgN#0#gZMXMWS@;AT}_vio12J>Tr`u
        +_9^3*N(KAA+h_?_!6@Yse)}_<ni}gb3!N8+3l^0QG}5S%hwaBep`Pm$-3^xDGrh@Sau@h=H$5YhQuBF7W}sl;59xr^^D{(8<Bk~ZVU{p{>wZv
        w3nT{R(e;*SiF<jD?Fn`B=GV?_45H$a-FQ=vDb<|7zKyDW!gULw%G&OIxlPUpy#()BKD{>_AK3K!I^dHhi6R1zO31?DG_D&)~7E@UFCRAhGBbZ
        ZMB`sfw@ce{q?;XR~kL@=dUMi0g;yuXWCjz#W$#3X;`n+)p^}-_tSiVTQBx^xcXI1UXps{{?XOj4_!Q<62UaTSfX)L{4J5qY=X@4S67+0thQLS
        WY?T+bq%xb_1x8W+<#xZ$*g2$qNrdBa}(!JnNv=J9ddiU&c)TwuvligjcMVJj|oy+r|DdJa5r&hL&>uFO)K0~?$4?bJeSLJoo(u_$7;t`{a+IK
        <W%M?%ar$uN;gaO#W{6?^z-|kFSGp?>9sRZ*-z|{am@9?uD{PJ`3_4JF|b-ZzOdN%?R%GNynznv7L%v;^Hl!Zm|$Pw&ZmCKtZ_XfM`Xh4+QntF
        PP64Z&HuACP1N*m#jn!lsT$j)=JX4EVPt0GU}I*4QVbY?Q(V_VSDX_<v12OG&b!8aEl*oJA4I8ODrgPt(&-9pZ4K<!pAcFi#ey!+JmIt6=LyWr
        lYYA@9A<XmWr9gSUF2+{zeC@|#l<>Ujm7-oGHqA_XX27Iu``h11nZy3!oDK0rgnQmb%{7LM4I1vHlM}Yay_8Mx_#lj6C0DZ*VZI1ys66uHk{k~
        j><IVzjd><^RElPos*il|D`3XT965k1v|)UPL+k~Vv2_noSQi%Ok!rglX$&L_nflZ@1AQw{fzA5#<|vOHPWwp`$aIa$(Dvrb=|X2pnZ|$q`-V}
        W=0N`yn9}J1rN?XzEk>(flc@NB=I??=HFB?3E}F{<znHKD+!zwTj9QyS*>j8Ee3WAKIb`XyOK{TEt_II$5cqtIF)(PKab46*Yh95Sm*-v-`Re0
        =c^kr<<5Dz2WB}J-*b61EBJWmqW?=I|LinoU=}ZJn-+P<`=P?*IXw?zHb+fQOuL=r{%<j7+ku;pcQG(>Xw6<T{W=R%vQ9|!4N2DxDs_GDGomL3
        mTH(zbA1H#EtlS$t~0xq_D^xrboHILlKr#>2b<6Rd{r(kd6!gBSn?S4iLbgP#Wm-_T&d;H>SNkImABYPb1*ToaPcuv4j54=3|S^-CPp}gMVf_;
        g^3YFv0_sIOh)X`^v%w~h(|vwJ3A|C24G}Fwx1cKfC)*OiJ1jrAw&}+3p+{<Vq)b$@WCEn1zLpUE)E_ZPF7~P6^tl81Ud^O&&~!hiVf&A5I}?p
        GYcChCkH1t#EYCjtC-;O;J^T?U}1yA56~$<1uQHq5a%$$!i0&Log0?bIN8~O7^nbbHZ#bn5KluL3-mk(4<9!$h{29whB_5tBQpy-4?hnZ6C*P_
        FrYDF0%#c<H!l|}NFHp>C>RCQ0041Rp>q
            """,
            (18, 32),
        ),
        fixations=[
            (5, 3),
            (5, 10),
            (8, 12),
            (9, 28),
            (10, 27),
            (12, 6),
            (12, 31),
            (13, 23),
            (14, 8),
            (15, 12),
            (16, 12),
            (16, 19),
        ],
        expected={
            "nss": -0.140960439644,
            "cc": -0.099772477606,
            "sim": 0.450883615774,
            "kl_divergence": 0.847252894256,
        },
    ),
]
